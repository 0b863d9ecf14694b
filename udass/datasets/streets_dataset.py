"""The demo data that the project generates itself: street scenes of two domains, ``game`` and ``camera``."""
from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from . import cityscapes_classes
from .base import IGNORE_INDEX, UDADataset
from .camvid import CamVidDataset

_RARE = ('wall', 'fence', 'pole', 'traffic light', 'rider', 'bus', 'train', 'motorcycle', 'bicycle')


@DATASETS.register_module()
class StreetsDataset(UDADataset):
    """Streets: ``<data_root>/<domain>/<split>/{images,labels}/*.png``, labels are Cityscapes train ids and 255.

    Args:
        data_root: folder of the data set.
        domain: 'game' (source) or 'camera' (target).
        split: 'train', 'val', ...: a folder of the domain.
        labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``UDADataset``.
    """
    METAINFO = dict(
        classes=cityscapes_classes.CLASSES,
        palette=[list(colour) for colour in cityscapes_classes.PALETTE],
        thing_classes=list(cityscapes_classes.THING_CLASSES),
        # As in QuadMix for GTA; its threshold of 50 pixels is kept although the pictures are small, because a smaller
        # patch shows nothing to learn from.
        rare_classes=[dict(name=name, weight=1, min_pixels=50) for name in _RARE])
    HOW_TO_GET = 'Generate the data set with `make data`, or set data_root in the config to the folder that holds it.'

    def __init__(self, *, data_root: str, domain: str, split: str, labelled: bool = True,
                 indices: int | Sequence[int] | None = None, pipeline: Sequence[dict | Callable] = (),
                 metainfo: dict | None = None, test_mode: bool = False, lazy_init: bool = False) -> None:
        self.domain, self.split = domain, split
        super().__init__(data_root=data_root, image_folder=f'{domain}/{split}/images',
                         label_folder=f'{domain}/{split}/labels', image_suffix='.png', label_suffix='.png',
                         labelled=labelled, indices=indices, pipeline=pipeline, metainfo=metainfo, test_mode=test_mode,
                         lazy_init=lazy_init)


# Class of the streets -> class of CamVid; None is ignored, as are motorcycles in CamVid's edition of 11 classes.
_CAMVID_CLASSES = {
    'road': 'road', 'sidewalk': 'sidewalk', 'building': 'building', 'wall': 'building', 'fence': 'fence',
    'pole': 'pole', 'traffic light': 'sign', 'traffic sign': 'sign', 'vegetation': 'tree', 'terrain': 'tree',
    'sky': 'sky', 'person': 'pedestrian', 'rider': 'bicyclist', 'car': 'car', 'truck': 'car', 'bus': 'car',
    'train': 'car', 'motorcycle': None, 'bicycle': 'bicyclist'}


def _camvid_table() -> dict[int, int]:
    """Train id of the streets -> train id of CamVid."""
    names = CamVidDataset.METAINFO['classes']
    table = {cityscapes_classes.CLASSES.index(name): IGNORE_INDEX if other is None else names.index(other)
             for name, other in _CAMVID_CLASSES.items()}
    return {**table, IGNORE_INDEX: IGNORE_INDEX}


@DATASETS.register_module()
class StreetsCamVidDataset(StreetsDataset):
    """Streets with the 11 classes of CamVid, as a synthetic source for it; arguments as in ``StreetsDataset``."""
    METAINFO = CamVidDataset.METAINFO
    LABEL_TABLE = _camvid_table()
    HOW_TO_GET = ('Generate the images with `python tools/make_streets.py --root data/streets_camvid --size 360 480 '
                  '--counts game/train=600`, or set data_root in the config to the folder that holds them.')
