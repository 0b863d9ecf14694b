"""Dark Zurich (Sakaridis, Dai, Van Gool, ICCV 2019): driving at night, as published."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets import cityscapes_classes
from udass.datasets.base import UDADataset


@DATASETS.register_module()
class DarkZurich(UDADataset):
    """Dark Zurich: ``<data_root>/rgb_anon/<split>/<time>/<sequence>/*_rgb_anon.png`` (1920x1080); the train ids
    ``gt/<split>/<time>/<sequence>/*_gt_labelTrainIds.png`` exist for 'val' only. mmseg has the name
    ``DarkZurichDataset``.

    Args:
        data_root: folder of the data set.
        split: 'train' (2416 at night, no labels), 'val' (50) or 'test' (151, whose labels are kept by the server).
        time: 'night'; 'train' has 'twilight' and 'day' as well.
        labelled: False for 'train' and 'test'.
        indices, pipeline, metainfo, test_mode, lazy_init: see ``UDADataset``.
    """

    METAINFO = cityscapes_classes.metainfo(
        # The server takes train ids, in files named as its labels.
        submission=dict(image_suffix='_rgb_anon.png', file_suffix='_gt_labelTrainIds.png')
    )
    DOWNLOAD_HINT = (
        'Unpack Dark_Zurich_train_anon.zip, Dark_Zurich_val_anon.zip and Dark_Zurich_test_anon_withoutGt.zip '
        'and set data_root in the config to the folder that holds rgb_anon/ and gt/. Only the split val has '
        'labels: labelled=False for the others.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        time: str = 'night',
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.split, self.time = split, time
        super().__init__(
            data_root=data_root,
            image_folder=f'rgb_anon/{split}/{time}',
            label_folder=f'gt/{split}/{time}',
            image_suffix='_rgb_anon.png',
            label_suffix='_gt_labelTrainIds.png',
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
