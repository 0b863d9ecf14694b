"""Mapillary Vistas (Neuhold et al., ICCV 2017), versions 1.2 and 2.0, as published: street scenes of the whole world.

The tables are by class of Cityscapes. That of version 1.2 is the one of VFM-UDA++ (arXiv 2503.10685,
``datasets/utils/mappings.py`` of tue-mps/vfm-uda-plusplus), which counts lane markings and manholes as road and curbs
as sidewalk, and ignores what Cityscapes has no class for. We know of no published table of version 2.0. Ours carries
over that of version 1.2: a class that version 2.0 divides keeps its counterpart, and what is new there is ignored.
"""

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset, classes

# Ids of each of the 19 classes, in their order.
_V1_2 = (
    *((13, 24, 41), (2, 15), (17,), (6,), (3,), (45, 47), (48,), (50,), (30,), (29,), (27,)),
    *((19,), (20, 21, 22), (55,), (61,), (54,), (58,), (57,), (52,)),
)
# Lane markings other than crosswalks (35 to 58 without 45 and 56), six kinds of traffic lights (90 to 95), and the
# fronts of four kinds of traffic signs. Groups (of persons 31, poles 86, vehicles 115) are not evaluated by Mapillary.
_V2_0 = (
    *((21, *range(35, 45), *range(46, 56), 57, 58, 74), (4, 24), (27,), (12,), (5,), (85, 88)),
    *(tuple(range(90, 96)), (99, 100, 101, 103), (64,), (63,), (61,)),
    *((30,), (32, 33, 34), (108,), (114,), (107,), (111,), (110,), (105,)),
)


def _label_table(ids_of_classes: tuple[tuple[int, ...], ...], number: int) -> dict[int, int]:
    """Id -> train id of all ids from 0 to ``number`` - 1."""
    ids = {raw: train_id for train_id, raw_ids in enumerate(ids_of_classes) for raw in raw_ids}
    return classes.label_table(ids, range(number))


@DATASETS.register_module()
class Mapillary(UDADataset):
    """Mapillary Vistas with the labels of version 1.2: ``<data_root>/<split>/images/*.jpg`` (of many sizes) and
    ``<split>/v1.2/labels/*.png``, palette files whose indices are the ids 0 to 65. In the archive of version 1.2 the
    labels are in ``<split>/labels``: set ``label_folder`` to it. mmseg has the name ``MapillaryDataset_v1``.

    Args:
        split: 'training' (18,000), 'validation' (2000) or 'testing' (5000, without labels: labelled=False).
        common: see ``UDADataset``.
    """

    METAINFO = classes.metainfo()
    IMAGE_FOLDER, LABEL_FOLDER = '{split}/images', '{split}/v1.2/labels'
    IMAGE_SUFFIX = '.jpg'
    LABEL_TABLE = _label_table(_V1_2, 66)
    DOWNLOAD_HINT = (
        'Unpack the archive of mapillary.com/dataset/vistas, and set data_root in the config to the folder that holds '
        "training/ and validation/. The archive of version 1.2 alone needs label_folder='<split>/labels'."
    )

    def __init__(self, *, split: str, **common: object) -> None:
        self.split = split
        super().__init__(**common)


@DATASETS.register_module()
class MapillaryV2(Mapillary):
    """The images of ``Mapillary`` with the labels of version 2.0: ``<split>/v2.0/labels/*.png``, palette files whose
    indices are the ids 0 to 123. mmseg has the name ``MapillaryDataset_v2``."""

    LABEL_FOLDER = '{split}/v2.0/labels'
    LABEL_TABLE = _label_table(_V2_0, 124)
