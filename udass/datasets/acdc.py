"""ACDC (Sakaridis, Dai, Van Gool, ICCV 2021): driving in fog, at night, in rain and in snow, as published."""

from collections.abc import Collection, Sequence

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset, classes

CONDITIONS = ('fog', 'night', 'rain', 'snow')


@DATASETS.register_module()
class ACDC(UDADataset):
    """ACDC: ``<data_root>/rgb_anon/<condition>/<split>/<sequence>/*_rgb_anon.png`` (1920x1080) with the train ids of
    ``gt/<condition>/<split>/<sequence>/*_gt_labelTrainIds.png``. The sample's metainfo has ``condition``. mmseg has the
    name ``ACDCDataset``.

    Args:
        split: 'train' (1600), 'val' (406) or 'test' (2000, whose labels only the server has: labelled=False).
        conditions: some of 'fog', 'night', 'rain' and 'snow'; ValueError for others, or none.
        common: see ``UDADataset``.
    """

    METAINFO = classes.metainfo(
        protocols={f'mIoU_{condition}': dict(condition=condition) for condition in CONDITIONS},
        # The server takes train ids, in files named as its labels.
        submission=dict(image_suffix='_rgb_anon.png', file_suffix='_gt_labelTrainIds.png'),
    )
    IMAGE_FOLDER, LABEL_FOLDER = 'rgb_anon', 'gt'
    IMAGE_SUFFIX, LABEL_SUFFIX = '_rgb_anon.png', '_gt_labelTrainIds.png'
    DOWNLOAD_HINT = (
        'Unpack rgb_anon_trainvaltest.zip and gt_trainval.zip of acdc.vision.ee.ethz.ch, and set data_root in the '
        'config to the folder that holds rgb_anon/ and gt/.'
    )

    def __init__(self, *, split: str, conditions: Sequence[str] = CONDITIONS, **common: object) -> None:
        unknown = sorted(set(conditions) - set(CONDITIONS))
        if unknown or not conditions or isinstance(conditions, str):
            raise ValueError(f'ACDC: conditions must be a list of some of {list(CONDITIONS)}, got {conditions!r}')
        self.split, self.conditions = split, tuple(conditions)
        super().__init__(**common)

    def included(self, name: str) -> bool:
        """Whether the image is of the split and of one of the conditions."""
        condition, split, *_ = name.split('/')
        return split == self.split and condition in self.conditions

    def sample_info(self, name: str) -> dict:
        """The condition, for protocols."""
        return dict(condition=name.split('/')[0])

    def explain_filter(self, names: Collection[str]) -> str:
        """Name the folders that exist."""
        there = sorted({'/'.join(name.split('/')[:2]) for name in names})
        return f'split={self.split!r}, conditions={list(self.conditions)}; there are {there}'
