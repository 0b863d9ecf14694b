"""Classes of the two video benchmarks, VIPER -> Cityscapes-Seq and SYNTHIA-Seq -> Cityscapes-Seq.

Both were set up by DA-VSN (Guan et al., ICCV 2021); TPS, CMOM and UDASS (arXiv 2311.13254) use them unchanged.
UnifiedVideoDA (Kareer et al. 2024, arXiv 2402.00868) ignores riders on VIPER -> Cityscapes-Seq.
"""

from dataclasses import dataclass, replace

from udass.datasets import cityscapes_classes
from udass.datasets.base import IGNORE_INDEX


@dataclass(frozen=True)
class VideoBenchmark:
    """What the source and the target of a benchmark share.

    Attributes:
        classes: names, as Cityscapes has them.
        from_cityscapes: Cityscapes label id -> train id of these classes; every label id is listed.
        rare: what QuadMix pastes from the long tail: name -> pixels that an image must exceed.
        protocols: see ``ClassIoUMetric``.
    """

    classes: tuple[str, ...]
    from_cityscapes: dict[int, int]
    rare: dict[str, int]
    protocols: dict[str, list[str]]

    def from_train_ids(self) -> dict[int, int]:
        """Cityscapes train id -> train id of these classes by name; the other classes, and 255, are ignored."""
        ids = {name: train_id for train_id, name in enumerate(self.classes)}
        known = {train_id: ids.get(name, IGNORE_INDEX) for train_id, name in enumerate(cityscapes_classes.CLASSES)}
        return {**known, IGNORE_INDEX: IGNORE_INDEX}

    def metainfo(self, **more: object) -> dict:
        """Metainfo of a data set of these classes, with what else is given."""
        colours = dict(zip(cityscapes_classes.CLASSES, cityscapes_classes.PALETTE, strict=True))
        return dict(
            classes=self.classes,
            palette=[list(colours[name]) for name in self.classes],
            thing_classes=[name for name in cityscapes_classes.THING_CLASSES if name in self.classes],
            rare_classes=[dict(name=name, weight=1, min_pixels=pixels) for name, pixels in self.rare.items()],
            protocols={name: list(classes) for name, classes in self.protocols.items()},
            **more,
        )


def _table(ids: dict[int, int]) -> dict[int, int]:
    """A table over all Cityscapes label ids; those that are not given are ignored."""
    return {**dict.fromkeys(cityscapes_classes.LABEL_TABLE, IGNORE_INDEX), **ids}


_VIPER_CLASSES = (
    'road',
    'sidewalk',
    'building',
    'fence',
    'traffic light',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'car',
    'truck',
    'bus',
    'motorcycle',
    'bicycle',
)
VIPER = VideoBenchmark(
    classes=_VIPER_CLASSES,
    # VIPER has no class for riders, so Cityscapes' riders (25) count as persons.
    from_cityscapes=_table(
        {
            7: 0,
            8: 1,
            11: 2,
            13: 3,
            19: 4,
            20: 5,
            21: 6,
            22: 7,
            23: 8,
            24: 9,
            25: 9,
            26: 10,
            27: 11,
            28: 12,
            32: 13,
            33: 14,
        }
    ),
    rare={'fence': 5, 'traffic light': 5, 'traffic sign': 5, 'terrain': 5, 'motorcycle': 5, 'bicycle': 100},
    protocols={},
)

_SYNTHIA_CLASSES = (
    'road',
    'sidewalk',
    'building',
    'fence',
    'pole',
    'traffic light',
    'traffic sign',
    'vegetation',
    'sky',
    'person',
    'rider',
    'car',
)
SYNTHIA_SEQ = VideoBenchmark(
    classes=_SYNTHIA_CLASSES,
    from_cityscapes=_table({7: 0, 8: 1, 11: 2, 13: 3, 17: 4, 19: 5, 20: 6, 21: 7, 23: 8, 24: 9, 25: 10, 26: 11}),
    rare={'fence': 5, 'pole': 5, 'traffic light': 5, 'traffic sign': 5, 'rider': 5},
    # 12 classes are trained; the literature reports the mean of 11.
    protocols={'mIoU11': [name for name in _SYNTHIA_CLASSES if name != 'fence']},
)

BENCHMARKS = {
    'viper': VIPER,
    # In UnifiedVideoDA, whose networks have a class for riders but no source pixel of it (ignore_index of its
    # configs/_base_/datasets/uda_viper_CSSeq.py), what is predicted on riders is not scored.
    'viper_rider_ignored': replace(VIPER, from_cityscapes={**VIPER.from_cityscapes, 25: IGNORE_INDEX}),
    'synthia_seq': SYNTHIA_SEQ,
}
