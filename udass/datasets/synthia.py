"""SYNTHIA (Ros et al., CVPR 2016), as published: rendered street scenes with labels, as images and as video."""

import numpy as np
from mmseg.registry import DATASETS

from udass.datasets.base import ClipDataset, UDADataset, classes

# QuadMix draws from a list in which names repeat (train ids 3 3 4 4 4 4 5 5 6 7 12 13 18).
_RARE = {'wall': 2, 'fence': 4, 'pole': 2, 'traffic light': 1, 'traffic sign': 1, 'rider': 1, 'car': 1, 'bicycle': 1}
_VOID, _IDS = 0, range(23)
# The car that carries the camera fills the lowest 120 of 760 rows; the video benchmark works on the 640 above.
_BOTTOM_ROWS, _HEIGHT = 120, 760


@DATASETS.register_module()
class Synthia(UDADataset):
    """SYNTHIA-RAND-CITYSCAPES: ``<data_root>/RGB/*.png`` (9400 of 1280x760) and ``GT/LABELS/*.png``, 16-bit colour
    files with the class in the red channel and the instance in the green one; ``data_root`` is RAND_CITYSCAPES of the
    published archive.

    The field trains on 19 classes and reports, on Cityscapes, the mean of 16 (without terrain, truck and train) and of
    13 (also without wall, fence and pole): the protocols ``mIoU16`` and ``mIoU13`` of the configs.
    """

    METAINFO = classes.metainfo(rare_classes=classes.rare_classes(_RARE, min_pixels=10))
    IMAGE_FOLDER, LABEL_FOLDER = 'RGB', 'GT/LABELS'
    # 0 (void), 13, 14 and 22 have no counterpart among the 19 classes.
    LABEL_TABLE = classes.label_table(
        {
            **{3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9},
            **{1: 10, 10: 11, 17: 12, 8: 13, 18: 14, 19: 15, 20: 16, 12: 17, 11: 18},
        },
        _IDS,
    )
    LABEL_CHANNEL = 0
    DOWNLOAD_HINT = (
        'Unpack SYNTHIA_RAND_CITYSCAPES of synthia-dataset.net, and set data_root in the config to the folder that '
        'holds RGB/ and GT/.'
    )


def without_bottom_rows(ids: np.ndarray) -> np.ndarray:
    """Raw ids (H, W) with the lowest 120 of 760 rows void, so that nothing counts or learns what is cut off later."""
    changed = ids.copy()
    changed[ids.shape[0] - ids.shape[0] * _BOTTOM_ROWS // _HEIGHT :] = _VOID
    return changed


@DATASETS.register_module()
class SynthiaSeq(ClipDataset):
    """SYNTHIA-Seq: ``<data_root>/<sequence>/rgb/<frame>.png`` (1280x760) and ``<sequence>/label/<frame>.png``, coded as
    those of ``Synthia``, as clips of frames t and t - 1, both labelled, in 12 classes.

    The lowest 120 rows are never labelled; ``CutBottomRows`` takes them off frames, labels and flow.

    Args:
        sequence: the benchmark trains on 'SEQS-04-DAWN' (850 frames).
        common: see ``ClipDataset``.
    """

    METAINFO = classes.SYNTHIA_SEQ.metainfo()
    IMAGE_FOLDER, LABEL_FOLDER = '{sequence}/rgb', '{sequence}/label'
    # The benchmark takes SYNTHIA's bicycles (11) as riders: bicycles are no class of it.
    LABEL_TABLE = classes.label_table(
        {3: 0, 4: 1, 2: 2, 5: 3, 7: 4, 15: 5, 9: 6, 6: 7, 1: 8, 10: 9, 11: 10, 8: 11}, _IDS
    )
    LABEL_CHANNEL = 0
    LABEL_FILTER = staticmethod(without_bottom_rows)
    DOWNLOAD_HINT = (
        'Unpack SYNTHIA-SEQS-04-DAWN of synthia-dataset.net, put the images and the label files of its front camera '
        'into SEQS-04-DAWN/rgb/ and SEQS-04-DAWN/label/, and set data_root in the config to the folder that holds '
        'SEQS-04-DAWN/.'
    )

    def __init__(self, *, sequence: str = 'SEQS-04-DAWN', **common: object) -> None:
        self.sequence = sequence
        super().__init__(**common)
