"""Cityscapes (Cordts et al., CVPR 2016): street scenes of 50 cities, as published."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets import cityscapes_classes
from udass.datasets.base import UDADataset

_RARE = ('fence', 'traffic light', 'bus', 'motorcycle', 'bicycle')


@DATASETS.register_module()
class Cityscapes(UDADataset):
    """Cityscapes: ``<data_root>/leftImg8bit/<split>/<city>/*_leftImg8bit.png`` with the label ids of
    ``gtFine/<split>/<city>/*_gtFine_labelIds.png`` (no ``_labelTrainIds`` files are needed). mmseg has the name
    ``CityscapesDataset``.

    Args:
        data_root: folder of the data set.
        split: 'train' (2975), 'val' (500) or 'test' (1525, whose labels are kept by the server: labelled=False).
        labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``UDADataset``.
    """

    METAINFO = cityscapes_classes.metainfo(
        # What QuadMix pastes where Cityscapes is the source; the threshold is the one that it has for GTA.
        rare_classes=[dict(name=name, weight=1, min_pixels=50) for name in _RARE],
        # The car's bonnet and star below, the border of the rectification around (HRDA). At 1024x512 these are the
        # rows that DAFormer leaves out, 15 and 120.
        pseudo_margins=dict(size=(2048, 1024), top=30, bottom=240, left=30, right=30),
        # The server finds the file of an image by its <city>_<sequence>_<frame>, and wants label ids.
        submission=dict(
            image_suffix='_leftImg8bit.png',
            file_suffix='_leftImg8bit.png',
            ids=dict(zip(cityscapes_classes.CLASSES, cityscapes_classes.LABEL_IDS, strict=True)),
        ),
    )
    LABEL_TABLE = cityscapes_classes.LABEL_TABLE
    DOWNLOAD_HINT = (
        'Unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com, and set '
        'data_root in the config to the folder that holds leftImg8bit/ and gtFine/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.split = split
        super().__init__(
            data_root=data_root,
            image_folder=f'leftImg8bit/{split}',
            label_folder=f'gtFine/{split}',
            image_suffix='_leftImg8bit.png',
            label_suffix='_gtFine_labelIds.png',
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )
