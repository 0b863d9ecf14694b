"""Synscapes (Wrenninge and Unger 2018, arXiv 1810.08705), as published: street scenes of a path tracer."""

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset, classes


@DATASETS.register_module()
class Synscapes(UDADataset):
    """Synscapes: ``<data_root>/img/rgb/*.png`` (25,000 of 1440x720) and ``img/class/*.png`` with Cityscapes label ids.

    The images of ``img/rgb-2k`` show the same at 2048x1024, but have no labels of that size. VFM-UDA++ stretches those
    of 1440x720: ``image_folder='img/rgb-2k'`` and ``LoadLabels(max_size_difference=608)``.
    """

    METAINFO = classes.metainfo(rare_classes=classes.rare_classes(classes.RARE_CLASSES, min_pixels=50))
    IMAGE_FOLDER, LABEL_FOLDER = 'img/rgb', 'img/class'
    LABEL_TABLE = classes.LABEL_TABLE
    DOWNLOAD_HINT = (
        'Unpack synscapes.tar of synscapes.on.liu.se, and set data_root in the config to the folder Synscapes/, which '
        'holds img/.'
    )
