"""WildDash 2 (Zendel et al., CVPR 2022), as published: hard scenes of the whole world from dashboard cameras."""

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset, classes


@DATASETS.register_module()
class WildDash2(UDADataset):
    """WildDash 2: ``<data_root>/images/*.jpg`` (4256 of 1920x1080) and ``labels/*.png``, whose ids up to 33 are
    Cityscapes label ids.

    As in VFM-UDA++, the ids from 34, which Cityscapes lacks (pick-ups, vans, billboards, street lights, road markings
    and, in the public GT package, finer ones up to 80), are ignored. The authors of WildDash count pick-ups as trucks,
    vans as cars and road markings as road: ``label_table`` can do that.

    The data set itself has no split. VFM-UDA++ tests on the images that ``wilddash_trainval_split/val_split.txt`` of
    tue-mps/vfm-uda lists: for these, or another part, move images and labels to folders of their own and set
    ``image_folder`` and ``label_folder``.
    """

    METAINFO = classes.metainfo()
    IMAGE_SUFFIX = '.jpg'
    LABEL_TABLE = classes.label_table(classes.LABEL_TABLE, range(81))
    DOWNLOAD_HINT = (
        'Unpack wd_public_02.zip of wilddash.cc, and set data_root in the config to the folder that holds images/ and '
        'labels/. For the newer package, wd_public_v2p0.zip, make label files with pano2sem.py of '
        "ozendelait/wilddash_scripts, and set label_folder and label_suffix='_labelIds.png'."
    )
