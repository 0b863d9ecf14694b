"""SYNTHIA-RAND-CITYSCAPES (Ros et al., CVPR 2016): 9400 rendered street scenes with labels, as published."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets import cityscapes_classes
from udass.datasets.base import IGNORE_INDEX, UDADataset

# QuadMix draws from a list in which names repeat (train ids 3 3 4 4 4 4 5 5 6 7 12 13 18).
_RARE = {'wall': 2, 'fence': 4, 'pole': 2, 'traffic light': 1, 'traffic sign': 1, 'rider': 1, 'car': 1, 'bicycle': 1}


@DATASETS.register_module()
class Synthia(UDADataset):
    """SYNTHIA: ``<data_root>/RGB/*.png`` (1280x760) and ``GT/LABELS/*.png``, 16-bit colour files with the class in
    the red channel and the instance in the green one.

    The field trains on 19 classes and reports, on Cityscapes, the mean of 16 (without terrain, truck and train) and of
    13 (also without wall, fence and pole): the protocols ``mIoU16`` and ``mIoU13`` of the configs.

    Args:
        data_root: folder of the data set (RAND_CITYSCAPES in the published archive).
        labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``UDADataset``.
    """

    METAINFO = cityscapes_classes.metainfo(
        rare_classes=[dict(name=name, weight=weight, min_pixels=10) for name, weight in _RARE.items()]
    )
    # 0 (void), 13, 14 and 22 have no counterpart among the 19 classes.
    LABEL_TABLE = {
        **dict.fromkeys(range(23), IGNORE_INDEX),
        3: 0,
        4: 1,
        2: 2,
        21: 3,
        5: 4,
        7: 5,
        15: 6,
        9: 7,
        6: 8,
        16: 9,
        1: 10,
        10: 11,
        17: 12,
        8: 13,
        18: 14,
        19: 15,
        20: 16,
        12: 17,
        11: 18,
    }
    DOWNLOAD_HINT = (
        'Unpack SYNTHIA_RAND_CITYSCAPES of synthia-dataset.net, and set data_root in the config to the '
        'folder that holds RGB/ and GT/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        super().__init__(
            data_root=data_root,
            image_folder='RGB',
            label_folder='GT/LABELS',
            image_suffix='.png',
            label_suffix='.png',
            labelled=labelled,
            label_channel=0,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
