"""CamVid as video: 101 consecutive labelled frames, where flow and temporal consistency meet reality."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets.camvid import CamVidDataset
from udass.datasets.clips import ClipDataset


@DATASETS.register_module()
class CamVidVideo(ClipDataset):
    """CamVid's frames as clips: ``<data_root>/images/<split>/<sequence>_<frame>.jpg`` and
    ``labels/<split>/<sequence>_<frame>.png``.

    The val split is video: frames 7959, 7961, ..., 8159 of sequence 0016E5 at 15 Hz, each labelled. The frames of the
    other splits are a second apart: no video, but ``step=0`` uses them as clips without motion.

    Args:
        data_root: folder of the data set.
        split: 'train', 'val' or 'test'.
        exclude_sequence: use all but this sequence, e.g. '0001TP' (dusk).
        step: 2 for the video, 0 for stills; see ``ClipDataset``.
        past, labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``ClipDataset``.
    """

    METAINFO = CamVidDataset.METAINFO
    LABEL_TABLE = CamVidDataset.LABEL_TABLE
    DOWNLOAD_HINT = CamVidDataset.DOWNLOAD_HINT

    def __init__(
        self,
        *,
        data_root: str,
        split: str = 'val',
        exclude_sequence: str | None = None,
        step: int = 2,
        past: int | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.exclude_sequence = exclude_sequence
        super().__init__(
            data_root=data_root,
            image_folder=f'images/{split}',
            label_folder=f'labels/{split}',
            image_suffix='.jpg',
            label_suffix='.png',
            past=past,
            step=step,
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def keep(self, name: str) -> bool:
        """Whether the frame belongs to the chosen sequences."""
        return self.exclude_sequence is None or not name.startswith(f'{self.exclude_sequence}_')
