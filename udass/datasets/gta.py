"""GTA (Richter et al., "Playing for Data", ECCV 2016): 24,966 frames of a game with labels, as published."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets import cityscapes_classes
from udass.datasets.base import IGNORE_INDEX, UDADataset

_RARE = ('wall', 'fence', 'pole', 'traffic light', 'rider', 'bus', 'train', 'motorcycle', 'bicycle')


@DATASETS.register_module()
class GTA(UDADataset):
    """GTA: ``<data_root>/images/00001.png`` (1914x1052, a few differ) and ``labels/00001.png``, palette files whose
    indices are Cityscapes label ids.

    The sizes of some pairs differ by a few pixels: give ``LoadLabels`` a ``max_size_difference``.

    Args:
        data_root: folder of the data set.
        labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``UDADataset``.
    """

    METAINFO = cityscapes_classes.metainfo(
        # What QuadMix pastes, with its threshold.
        rare_classes=[dict(name=name, weight=1, min_pixels=50) for name in _RARE]
    )
    # A palette has no -1, which Cityscapes gives to license plates: GTA's coding has 34 for them.
    LABEL_TABLE = {**cityscapes_classes.LABEL_TABLE, 34: IGNORE_INDEX}
    DOWNLOAD_HINT = (
        'Unpack 01_images.zip ... 10_images.zip and 01_labels.zip ... 10_labels.zip of "Playing for Data", '
        'and set data_root in the config to the folder that holds images/ and labels/.'
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
            image_folder='images',
            label_folder='labels',
            image_suffix='.png',
            label_suffix='.png',
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
