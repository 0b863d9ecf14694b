"""Dark Zurich (Sakaridis, Dai, Van Gool, ICCV 2019): driving at night, as published."""

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset, classes


@DATASETS.register_module()
class DarkZurich(UDADataset):
    """Dark Zurich: ``<data_root>/rgb_anon/<split>/<time>/<sequence>/*_rgb_anon.png`` (1920x1080); the train ids
    ``gt/<split>/<time>/<sequence>/*_gt_labelTrainIds.png`` exist for 'val' only. mmseg has the name
    ``DarkZurichDataset``.

    Args:
        split: 'train' (2416 at night, no labels), 'val' (50) or 'test' (151, whose labels only the server has);
            labelled=False for 'train' and 'test'.
        time: 'night'; 'train' has 'twilight' and 'day' as well.
        common: see ``UDADataset``.
    """

    METAINFO = classes.metainfo(
        # The server takes train ids, in files named as its labels.
        submission=dict(image_suffix='_rgb_anon.png', file_suffix='_gt_labelTrainIds.png')
    )
    IMAGE_FOLDER, LABEL_FOLDER = 'rgb_anon/{split}/{time}', 'gt/{split}/{time}'
    IMAGE_SUFFIX, LABEL_SUFFIX = '_rgb_anon.png', '_gt_labelTrainIds.png'
    DOWNLOAD_HINT = (
        'Unpack Dark_Zurich_train_anon.zip, Dark_Zurich_val_anon.zip and Dark_Zurich_test_anon_withoutGt.zip and set '
        'data_root in the config to the folder that holds rgb_anon/ and gt/. Only the split val has labels: '
        'labelled=False for the others.'
    )

    def __init__(self, *, split: str, time: str = 'night', **common: object) -> None:
        self.split, self.time = split, time
        super().__init__(**common)
