"""CamVid: real video frames of driving in Cambridge, as images and as video; one of its sequences was filmed at dusk.

The day -> dusk protocol (480x360 edition with 11 classes): the source is the train split without sequence 0001TP, the
target is 0001TP of the train split without its labels, the test set is 0001TP of the test split.
Source: G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009.
"""

from collections.abc import Collection

from mmseg.registry import DATASETS

from udass.datasets.base import ClipDataset, UDADataset
from udass.datasets.base.classes import rare_classes
from udass.io.labels import IGNORE_INDEX

_COLOURS = {
    'sky': [128, 128, 128],
    'building': [128, 0, 0],
    'pole': [192, 192, 128],
    'road': [128, 64, 128],
    'sidewalk': [60, 40, 222],
    'tree': [128, 128, 0],
    'sign': [192, 128, 128],
    'fence': [64, 64, 128],
    'car': [64, 0, 128],
    'pedestrian': [64, 64, 0],
    'bicyclist': [0, 128, 192],
}


def _sequence(name: str) -> str:
    """'0001TP_009570' -> '0001TP'."""
    return name.split('/')[-1].split('_')[0]


@DATASETS.register_module()
class CamVidDataset(UDADataset):
    """CamVid: ``<data_root>/images/<split>/<sequence>_<frame>.jpg``, ``labels/<split>/<sequence>_<frame>.png``.

    Args:
        split: 'train', 'val' or 'test'.
        sequence: use only this sequence, e.g. '0001TP' (dusk).
        exclude_sequence: use all but this sequence.
        common: see ``UDADataset``.
    """

    METAINFO = dict(
        classes=tuple(_COLOURS),
        palette=list(_COLOURS.values()),
        thing_classes=['sign', 'car', 'pedestrian', 'bicyclist'],
        # The classes with few pixels; weights and 50 pixels as QuadMix has them for GTA.
        rare_classes=rare_classes(('pole', 'sign', 'fence', 'pedestrian', 'bicyclist'), min_pixels=50),
    )
    IMAGE_FOLDER, LABEL_FOLDER = 'images/{split}', 'labels/{split}'
    IMAGE_SUFFIX = '.jpg'
    LABEL_TABLE = {**{train_id: train_id for train_id in range(11)}, 11: IGNORE_INDEX}
    DOWNLOAD_HINT = (
        'Fetch CamVid (480x360, 11 classes) as docs/small_benchmarks.md says, and set data_root in the config or the '
        'environment variable UDASS_CAMVID to the folder that holds images/ and labels/.'
    )

    def __init__(
        self, *, split: str, sequence: str | None = None, exclude_sequence: str | None = None, **common: object
    ) -> None:
        self.split, self.sequence, self.exclude_sequence = split, sequence, exclude_sequence
        super().__init__(**common)

    def included(self, name: str) -> bool:
        """Whether the frame belongs to the chosen sequences."""
        sequence = _sequence(name)
        return sequence != self.exclude_sequence and self.sequence in (None, sequence)

    def explain_filter(self, names: Collection[str]) -> str:
        """Name the sequences that exist."""
        return (
            f'sequence={self.sequence!r}, exclude_sequence={self.exclude_sequence!r}; sequences there: '
            f'{sorted({_sequence(name) for name in names})}'
        )


@DATASETS.register_module()
class CamVidVideo(CamVidDataset, ClipDataset):
    """The frames of CamVid as clips.

    The val split is video: frames 7959, 7961, ..., 8159 of sequence 0016E5 at 15 Hz, each labelled. The frames of the
    other splits are a second apart: no video, but ``step=0`` uses them as clips without motion.

    Args:
        split: as of ``CamVidDataset``.
        step: 2 for the video, 0 for stills; see ``ClipDataset``.
        common: see ``CamVidDataset`` and ``ClipDataset``.
    """

    def __init__(self, *, split: str = 'val', step: int = 2, **common: object) -> None:
        super().__init__(split=split, step=step, **common)
