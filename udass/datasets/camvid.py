"""CamVid: real video frames of driving in Cambridge; one of its sequences was filmed at dusk.

The day -> dusk protocol (480x360 edition with 11 classes): the source is the train split without sequence 0001TP, the
target is 0001TP of the train split without its labels, the test set is 0001TP of the test split.
Source: G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video", Pattern Recognition Letters 2009.
"""

from collections.abc import Callable, Collection, Sequence

from mmseg.registry import DATASETS

from udass.datasets.base import IGNORE_INDEX, UDADataset

_RARE = ('pole', 'sign', 'fence', 'pedestrian', 'bicyclist')


def _sequence(name: str) -> str:
    """'0001TP_009570' -> '0001TP'."""
    return name.split('/')[-1].split('_')[0]


@DATASETS.register_module()
class CamVidDataset(UDADataset):
    """CamVid: ``<data_root>/images/<split>/<sequence>_<frame>.jpg``, ``labels/<split>/<sequence>_<frame>.png``.

    Args:
        data_root: folder of the data set.
        split: 'train', 'val' or 'test'.
        sequence: use only this sequence, e.g. '0001TP' (dusk).
        exclude_sequence: use all but this sequence.
        labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``UDADataset``.
    """

    METAINFO = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'sidewalk',
            'tree',
            'sign',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [60, 40, 222],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
        thing_classes=['sign', 'car', 'pedestrian', 'bicyclist'],
        # The classes with few pixels; weights and 50 pixels as QuadMix has them for GTA.
        rare_classes=[dict(name=name, weight=1, min_pixels=50) for name in _RARE],
    )
    LABEL_TABLE = {**{train_id: train_id for train_id in range(11)}, 11: IGNORE_INDEX}
    DOWNLOAD_HINT = (
        'Fetch CamVid (480x360, 11 classes) as the README says, and set data_root in the config or the '
        'environment variable UDASS_CAMVID to the folder that holds images/ and labels/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        sequence: str | None = None,
        exclude_sequence: str | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.sequence, self.exclude_sequence = sequence, exclude_sequence
        super().__init__(
            data_root=data_root,
            image_folder=f'images/{split}',
            label_folder=f'labels/{split}',
            image_suffix='.jpg',
            label_suffix='.png',
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def keep(self, name: str) -> bool:
        """Whether the frame belongs to the chosen sequences."""
        sequence = _sequence(name)
        return sequence != self.exclude_sequence and self.sequence in (None, sequence)

    def explain_filter(self, names: Collection[str]) -> str:
        """Name the sequences that exist."""
        return (
            f'sequence={self.sequence!r}, exclude_sequence={self.exclude_sequence!r}; sequences there: '
            f'{sorted({_sequence(name) for name in names})}'
        )
