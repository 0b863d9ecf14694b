"""SYNTHIA video sequences (Ros et al., CVPR 2016): rendered drives with labels, as published."""

from collections.abc import Callable, Sequence

import numpy as np
from mmseg.registry import DATASETS

from udass.datasets.base import IGNORE_INDEX
from udass.datasets.clips import ClipDataset
from udass.datasets.video_benchmarks import SYNTHIA_SEQ

_VOID = 0
# The car that carries the camera fills the lowest 120 of 760 rows; the benchmark works on the 640 above.
BOTTOM_ROWS, HEIGHT = 120, 760


def without_bottom_rows(ids: np.ndarray) -> np.ndarray:
    """Raw ids (H, W) with the lowest 120 of 760 rows void, so that nothing counts or learns what is cut off later."""
    changed = ids.copy()
    changed[ids.shape[0] - ids.shape[0] * BOTTOM_ROWS // HEIGHT :] = _VOID
    return changed


@DATASETS.register_module()
class SynthiaSeq(ClipDataset):
    """SYNTHIA-Seq: ``<data_root>/<sequence>/rgb/<frame>.png`` (1280x760) and ``<sequence>/label/<frame>.png``, 16-bit
    colour files with the class in the red channel, as clips of frames t and t - 1, both labelled, in 12 classes.

    The lowest 120 rows are never labelled; ``CutBottomRows`` takes them off frames, labels and flow.

    Args:
        data_root: folder of the data set.
        sequence: the benchmark trains on 'SEQS-04-DAWN' (850 frames).
        past, labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``ClipDataset``.
    """

    METAINFO = SYNTHIA_SEQ.metainfo()
    # The benchmark takes SYNTHIA's bicycles (11) as riders: bicycles are no class of it.
    LABEL_TABLE = {
        **dict.fromkeys(range(23), IGNORE_INDEX),
        3: 0,
        4: 1,
        2: 2,
        5: 3,
        7: 4,
        15: 5,
        9: 6,
        6: 7,
        1: 8,
        10: 9,
        11: 10,
        8: 11,
    }
    LABEL_FILTER = staticmethod(without_bottom_rows)
    DOWNLOAD_HINT = (
        'Unpack SYNTHIA-SEQS-04-DAWN of synthia-dataset.net, put the images and the label files of its '
        'front camera into SEQS-04-DAWN/rgb/ and SEQS-04-DAWN/label/, and set data_root in the config to the '
        'folder that holds SEQS-04-DAWN/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        sequence: str = 'SEQS-04-DAWN',
        past: int | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        super().__init__(
            data_root=data_root,
            image_folder=f'{sequence}/rgb',
            label_folder=f'{sequence}/label',
            image_suffix='.png',
            label_suffix='.png',
            past=past,
            labelled=labelled,
            label_channel=0,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
