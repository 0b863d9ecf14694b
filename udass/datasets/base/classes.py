"""The 19 classes of Cityscapes, to which most driving data sets are mapped, and those of the video benchmarks, which
DA-VSN (Guan et al., ICCV 2021) set up and TPS, CMOM and UDASS (arXiv 2311.13254) use unchanged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mmseg.datasets import CityscapesDataset

from udass.io.labels import IGNORE_INDEX

# In the order of the train ids: names, official colours (RGB), and ids in the published label files ("label ids").
CLASSES = tuple(CityscapesDataset.METAINFO['classes'])
PALETTE = tuple(map(tuple, CityscapesDataset.METAINFO['palette']))
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# Countable objects: the feature distance of DAFormer is taken on them (train ids 6, 7, 11..18).
THING_CLASSES = (*CLASSES[6:8], *CLASSES[11:])
# What QuadMix pastes of GTA, with its threshold of 50 pixels.
RARE_CLASSES = ('wall', 'fence', 'pole', 'traffic light', 'rider', 'bus', 'train', 'motorcycle', 'bicycle')


def label_table(ids: Mapping[int, int], ignored: Iterable[int]) -> dict[int, int]:
    """Raw id -> train id, with 255 for the ignored ids that ``ids`` does not list."""
    return {**dict.fromkeys(ignored, IGNORE_INDEX), **ids}


# Label id -> train id. 0..6, 9, 10, 14, 15, 16, 18, 29 and 30 are not evaluated; 255 is license plate (-1) in 8 bits.
LABEL_TABLE = label_table({raw: train_id for train_id, raw in enumerate(LABEL_IDS)}, (*range(34), IGNORE_INDEX))


def rare_classes(weights: Iterable[str] | Mapping[str, int], min_pixels: int) -> list[dict]:
    """``rare_classes`` of a metainfo: names (or name -> weight), and the pixels that an image must exceed to be pasted
    from."""
    weights = weights if isinstance(weights, Mapping) else dict.fromkeys(weights, 1)
    return [dict(name=name, weight=weight, min_pixels=min_pixels) for name, weight in weights.items()]


def metainfo(classes: Iterable[str] = CLASSES, **more: object) -> dict:
    """Metainfo of a data set of some of these classes: ``classes``, ``palette``, ``thing_classes`` and ``more``."""
    colours = dict(zip(CLASSES, PALETTE, strict=True))
    classes = tuple(classes)
    return dict(
        classes=classes,
        palette=[list(colours[name]) for name in classes],
        thing_classes=[name for name in THING_CLASSES if name in classes],
        **more,
    )


@dataclass(frozen=True)
class VideoBenchmark:
    """What the source and the target of a video benchmark share.

    Attributes:
        classes: names, in the order of the train ids.
        rare: what QuadMix pastes from the long tail: name -> pixels that an image must exceed.
        joined: names of classes of Cityscapes that count as another one.
        protocols: see ``ClassIoUMetric``.
    """

    classes: tuple[str, ...]
    rare: dict[str, int]
    joined: dict[str, str] = field(default_factory=dict)
    protocols: dict[str, list[str]] = field(default_factory=dict)

    def from_label_ids(self) -> dict[int, int]:
        """Label id of Cityscapes -> train id of these classes; every label id is listed."""
        names = [self.joined.get(name, name) for name in CLASSES]
        ids = {raw: self._train_id(name) for raw, name in zip(LABEL_IDS, names, strict=True)}
        return label_table(ids, LABEL_TABLE)

    def from_train_ids(self) -> dict[int, int]:
        """Train id of Cityscapes -> train id of these classes; the others, and 255, are ignored."""
        return {**{number: self._train_id(name) for number, name in enumerate(CLASSES)}, IGNORE_INDEX: IGNORE_INDEX}

    def metainfo(self, **more: object) -> dict:
        """Metainfo of a data set of these classes, with what else is given."""
        rare = [dict(name=name, weight=1, min_pixels=pixels) for name, pixels in self.rare.items()]
        protocols = {name: list(classes) for name, classes in self.protocols.items()}
        return metainfo(self.classes, rare_classes=rare, protocols=protocols, **more)

    def _train_id(self, name: str) -> int:
        return self.classes.index(name) if name in self.classes else IGNORE_INDEX


def _without(*names: str) -> tuple[str, ...]:
    return tuple(name for name in CLASSES if name not in names)


VIPER = VideoBenchmark(
    classes=_without('wall', 'pole', 'rider', 'train'),
    rare={'fence': 5, 'traffic light': 5, 'traffic sign': 5, 'terrain': 5, 'motorcycle': 5, 'bicycle': 100},
    # VIPER has no class for riders, so Cityscapes' riders count as persons.
    joined={'rider': 'person'},
)
_SYNTHIA_CLASSES = _without('wall', 'terrain', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
SYNTHIA_SEQ = VideoBenchmark(
    classes=_SYNTHIA_CLASSES,
    rare={'fence': 5, 'pole': 5, 'traffic light': 5, 'traffic sign': 5, 'rider': 5},
    # 12 classes are trained; the literature reports the mean of 11.
    protocols={'mIoU11': [name for name in _SYNTHIA_CLASSES if name != 'fence']},
)
_BENCHMARKS = {
    'viper': VIPER,
    # In UnifiedVideoDA (Kareer et al. 2024, arXiv 2402.00868), whose networks have a class for riders but no source
    # pixel of it (ignore_index of its configs/_base_/datasets/uda_viper_CSSeq.py), what is predicted on riders does not
    # count.
    'viper_rider_ignored': replace(VIPER, joined={}),
    'synthia_seq': SYNTHIA_SEQ,
}


def video_benchmark(name: str, owner: str) -> VideoBenchmark:
    """A benchmark by its name; ``owner`` is for the ValueError of an unknown one."""
    if name not in _BENCHMARKS:
        raise ValueError(f'{owner}: benchmark must be one of {sorted(_BENCHMARKS)}, got {name!r}')
    return _BENCHMARKS[name]
