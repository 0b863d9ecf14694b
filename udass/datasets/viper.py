"""VIPER (Richter et al., "Playing for Benchmarks", ICCV 2017): video of a game, every frame labelled, as published."""

from collections.abc import Callable, Collection, Sequence

import cv2
import numpy as np
from mmseg.registry import DATASETS

from udass.datasets.base import IGNORE_INDEX
from udass.datasets.clips import ClipDataset
from udass.datasets.video_benchmarks import VIPER

_CAR, _UNLABELLED = 24, 0


def without_ego_vehicle(ids: np.ndarray) -> np.ndarray:
    """Raw ids (H, W) with the car that the camera sits in unlabelled.

    VIPER labels it as a car; Cityscapes, where the scores are taken, as its own ignored id. It is the connected blob of
    car pixels (8 neighbours) that touches the middle of the lowest row.
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
    """VIPER: ``<data_root>/<split>/img/<seq>/<seq>_<frame>.jpg`` (1920x1080), ``<split>/cls/<seq>/<seq>_<frame>.png``
    as clips of frames t and t - 1, both labelled, in the 15 classes shared with Cityscapes.

    The train list of the benchmark is every 10th frame: 00010, 00020, ... (13,367). All frames must be unpacked, as the
    one before each is needed.

    Args:
        data_root: folder of the data set.
        split: 'train' or 'val'.
        every: frames t are those whose number is a multiple of this.
        past, labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``ClipDataset``.
    """

    METAINFO = VIPER.metainfo()
    # The published ids; those without counterpart among the 15 classes are ignored.
    LABEL_TABLE = {
        **dict.fromkeys((*range(32), 255), IGNORE_INDEX),
        3: 0,
        4: 1,
        9: 2,
        11: 3,
        13: 4,
        14: 5,
        7: 6,
        8: 6,
        6: 7,
        2: 8,
        20: 9,
        24: 10,
        27: 11,
        26: 12,
        23: 13,
        22: 14,
    }
    LABEL_FILTER = staticmethod(without_ego_vehicle)
    DOWNLOAD_HINT = (
        'Unpack the images (img) and the semantic labels (cls) of playing-for-benchmarks.org, and set '
        'data_root in the config to the folder that holds train/img/ and train/cls/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str = 'train',
        every: int = 10,
        past: int | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f'Viper: every is 1 or larger, got {every}')
        self.every = every
        super().__init__(
            data_root=data_root,
            image_folder=f'{split}/img',
            label_folder=f'{split}/cls',
            image_suffix='.jpg',
            label_suffix='.png',
            past=past,
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def keep(self, name: str) -> bool:
        """Whether the frame is on the list."""
        return self._parts(name)[1] % self.every == 0

    def explain_filter(self, names: Collection[str]) -> str:
        """Say which frames are meant."""
        return f'every={self.every} means frames whose number is a multiple of it; found for example {min(names)}.'
