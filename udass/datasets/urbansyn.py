"""UrbanSyn (Gómez et al. 2023, arXiv 2312.12176), as published: photorealistic rendered street scenes."""

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset, classes
from udass.io.labels import IGNORE_INDEX


@DATASETS.register_module()
class UrbanSyn(UDADataset):
    """UrbanSyn: ``<data_root>/rgb/rgb_<number>.png`` (7539 of 2048x1024) and ``ss/ss_<number>.png``, colour files whose
    channels all hold the train id; 19 is unlabelled."""

    METAINFO = classes.metainfo(rare_classes=classes.rare_classes(classes.RARE_CLASSES, min_pixels=50))
    IMAGE_FOLDER, LABEL_FOLDER = 'rgb', 'ss'
    LABEL_TABLE = classes.label_table({train_id: train_id for train_id in range(19)}, (19, IGNORE_INDEX))
    LABEL_CHANNEL = 0
    DOWNLOAD_HINT = 'Unpack rgb and ss of urbansyn.org, and set data_root in the config to the folder that holds both.'

    def label_path(self, name: str) -> str:
        """Path of the label of the image ``name``, whose file has another beginning."""
        return super().label_path(name.replace('rgb_', 'ss_'))

    def label_names(self) -> list[str]:
        """Sorted names of the images that have a label."""
        return sorted(name.replace('ss_', 'rgb_') for name in super().label_names())
