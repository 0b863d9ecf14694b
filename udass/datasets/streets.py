"""The demo data that the project generates itself: street scenes of two domains, ``game`` and ``camera``."""

from mmseg.registry import DATASETS

from udass.datasets.base import ClipDataset, UDADataset, classes
from udass.datasets.camvid import CamVidDataset
from udass.io.labels import IGNORE_INDEX


@DATASETS.register_module()
class StreetsDataset(UDADataset):
    """Streets: ``<data_root>/<domain>/<split>/{images,labels}/*.png``, labels are Cityscapes train ids and 255.

    Args:
        domain: 'game' (source) or 'camera' (target).
        split: 'train', 'val', ...: a folder of the domain.
        common: see ``UDADataset``.
    """

    # The threshold of GTA is used although the images are small, because a smaller patch holds nothing to learn from.
    METAINFO = classes.metainfo(rare_classes=classes.rare_classes(classes.RARE_CLASSES, min_pixels=50))
    IMAGE_FOLDER, LABEL_FOLDER = '{domain}/{split}/images', '{domain}/{split}/labels'
    DOWNLOAD_HINT = 'Draw the images with `udass streets`, or set data_root in the config to their folder.'

    def __init__(self, *, domain: str, split: str, **common: object) -> None:
        self.domain, self.split = domain, split
        super().__init__(**common)


# Classes of CamVid and the classes of the streets that they hold. Motorcycles are ignored, as in CamVid's edition of 11
# classes.
_IN_CAMVID = {
    'sky': ('sky',),
    'building': ('building', 'wall'),
    'pole': ('pole',),
    'road': ('road',),
    'sidewalk': ('sidewalk',),
    'tree': ('vegetation', 'terrain'),
    'sign': ('traffic light', 'traffic sign'),
    'fence': ('fence',),
    'car': ('car', 'truck', 'bus', 'train'),
    'pedestrian': ('person',),
    'bicyclist': ('rider', 'bicycle'),
}
_CAMVID_IDS = {
    classes.CLASSES.index(name): CamVidDataset.METAINFO['classes'].index(camvid)
    for camvid, names in _IN_CAMVID.items()
    for name in names
}


@DATASETS.register_module()
class StreetsCamVidDataset(StreetsDataset):
    """Streets with the 11 classes of CamVid, as a synthetic source for it; arguments as in ``StreetsDataset``."""

    METAINFO = CamVidDataset.METAINFO
    LABEL_TABLE = {**dict.fromkeys((classes.CLASSES.index('motorcycle'), IGNORE_INDEX), IGNORE_INDEX), **_CAMVID_IDS}
    DOWNLOAD_HINT = (
        'Generate the images with `udass streets --root data/streets_camvid --size 360 480 --counts '
        'game/train=600`, or set data_root in the config to their folder.'
    )


@DATASETS.register_module()
class StreetsClips(StreetsDataset, ClipDataset):
    """Clips of streets: ``<data_root>/<domain>_clips/<split>/<clip>/{images,labels}/<frame>.png``, all frames labelled.

    The exact flow from a frame to the two before it is in ``<clip>/flow/<current>_<other>.png`` (KITTI 16-bit PNG);
    ``dict(type='PrecomputedFlow', naming='../flow/{current}_{other}.png')`` reads it for ``LoadFlow``. It serves
    ``past=None`` and ``past=1``.

    Args:
        domain, split: as of ``StreetsDataset``; 'train' or 'val'.
        common: see ``ClipDataset``.
    """

    IMAGE_FOLDER = LABEL_FOLDER = '{domain}_clips/{split}'
    DOWNLOAD_HINT = 'Generate the clips with `udass streets --clips`, or set data_root in the config to their folder.'

    def label_path(self, name: str) -> str:
        """Beside the folder of the images of its clip."""
        return super().label_path(name.replace('/images/', '/labels/'))

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """One folder holds all kinds of files; a label has the name of its image."""
        names = [name for name in super()._names(folder, suffix, what) if f'/{what}/' in name]
        if not names:
            raise FileNotFoundError(f'StreetsClips: no <clip>/{what}/*{suffix} in {folder}. {self.DOWNLOAD_HINT}')
        return [name.replace(f'/{what}/', '/images/') for name in names]


@DATASETS.register_module()
class StreetsCamVidClips(StreetsClips):
    """Clips of streets with the 11 classes of CamVid; arguments as in ``StreetsClips``."""

    METAINFO = StreetsCamVidDataset.METAINFO
    LABEL_TABLE = StreetsCamVidDataset.LABEL_TABLE
    DOWNLOAD_HINT = (
        'Generate the clips with `udass streets --root data/streets_camvid --size 360 480 --counts game/train=600 '
        '--clips game/train=150`, or set data_root in the config to their folder.'
    )
