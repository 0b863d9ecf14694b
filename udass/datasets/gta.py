"""Data sets recorded from the game GTA V, as published: GTA, 24,966 labelled images, and VIPER, labelled video."""

from collections.abc import Collection

import cv2
import numpy as np
from mmseg.registry import DATASETS

from udass.datasets.base import ClipDataset, UDADataset, classes
from udass.io.labels import IGNORE_INDEX

# VIPER's ids.
_CAR, _UNLABELLED = 24, 0


@DATASETS.register_module()
class GTA(UDADataset):
    """GTA (Richter et al., "Playing for Data", ECCV 2016): ``<data_root>/images/00001.png`` (1914x1052, a few differ)
    and ``labels/00001.png``, palette files whose indices are Cityscapes label ids.

    The sizes of some pairs differ by a few pixels: give ``LoadLabels`` a ``max_size_difference``.
    """

    METAINFO = classes.metainfo(rare_classes=classes.rare_classes(classes.RARE_CLASSES, min_pixels=50))
    # A palette has no -1, which Cityscapes gives to license plates: GTA's coding has 34 for them.
    LABEL_TABLE = {**classes.LABEL_TABLE, 34: IGNORE_INDEX}
    DOWNLOAD_HINT = (
        'Unpack 01_images.zip ... 10_images.zip and 01_labels.zip ... 10_labels.zip of "Playing for Data", and set '
        'data_root in the config to the folder that holds images/ and labels/.'
    )


def without_ego_vehicle(ids: np.ndarray) -> np.ndarray:
    """Raw ids (H, W) of VIPER with the car that the camera sits in unlabelled.

    VIPER labels it as a car; Cityscapes, which is tested on, as its own ignored id. It is the connected blob of car
    pixels (8 neighbours) that touches the middle of the lowest row.
    """
    width = ids.shape[1]
    # An even width has two middle columns.
    middle = [column for column in {(width - 1) // 2, width // 2} if ids[-1, column] == _CAR]
    if not middle:
        return ids
    blobs = cv2.connectedComponents((ids == _CAR).astype(np.uint8), connectivity=8)[1]
    return np.where(blobs == blobs[-1, middle[0]], ids.dtype.type(_UNLABELLED), ids)


@DATASETS.register_module()
class Viper(ClipDataset):
    """VIPER (Richter et al., "Playing for Benchmarks", ICCV 2017): ``<data_root>/<split>/img/<seq>/<seq>_<frame>.jpg``
    (1920x1080) and ``<split>/cls/<seq>/<seq>_<frame>.png`` as clips of frames t and t - 1, both labelled, in the 15
    classes shared with Cityscapes.

    The train list of the benchmark is every 10th frame: 00010, 00020, ... (13,367). All frames must be unpacked, as the
    one before each is needed.

    Args:
        split: 'train' or 'val'.
        every: frames t are those whose number is a multiple of this.
        common: see ``ClipDataset``.
    """

    METAINFO = classes.VIPER.metainfo()
    IMAGE_FOLDER, LABEL_FOLDER = '{split}/img', '{split}/cls'
    IMAGE_SUFFIX = '.jpg'
    # The published ids (in the order of the 15 classes); those without counterpart are ignored. 7 and 8 are vegetation.
    LABEL_TABLE = classes.label_table(
        {
            **{3: 0, 4: 1, 9: 2, 11: 3, 13: 4, 14: 5, 7: 6, 8: 6, 6: 7, 2: 8},
            **{20: 9, 24: 10, 27: 11, 26: 12, 23: 13, 22: 14},
        },
        (*range(32), IGNORE_INDEX),
    )
    LABEL_FILTER = staticmethod(without_ego_vehicle)
    DOWNLOAD_HINT = (
        'Unpack the images (img) and the semantic labels (cls) of playing-for-benchmarks.org, and set data_root in the '
        'config to the folder that holds train/img/ and train/cls/.'
    )

    def __init__(self, *, split: str = 'train', every: int = 10, **common: object) -> None:
        if every < 1:
            raise ValueError(f'Viper: every must be 1 or larger, got {every}')
        self.split, self.every = split, every
        super().__init__(**common)

    def included(self, name: str) -> bool:
        """Whether the frame is on the list."""
        return self.number(name) % self.every == 0

    def explain_filter(self, names: Collection[str]) -> str:
        """Say which frames are meant."""
        return f'every={self.every} means frames whose number is a multiple of it; found for example {min(names)}.'
