"""BDDVid (Kareer et al. 2024, arXiv 2402.00868): clips of BDD100K's video around the images that BDD10K labels."""

from collections.abc import Callable, Collection, Sequence

from mmseg.registry import DATASETS

from udass.datasets.clips import ClipDataset
from udass.datasets.video_benchmarks import BENCHMARKS

LABELLED_FRAME = 307


@DATASETS.register_module()
class BDDVid(ClipDataset):
    """BDDVid: ``<data_root>/<split>/images/<video>_<frame>.jpg`` (1280x720, frames 303 to 311 of each video) and the
    train ids of ``<split>/labels/<video>_307.png``, as the scripts of UnifiedVideoDA unpack BDD100K (Yu et al., CVPR
    2020).

    Frame t is number 307. As published, the frame before it in a clip lies two numbers earlier, and that before it
    four: the flow that the authors publish is between such frames. Only frame t has a label.

    Args:
        data_root: folder of the data set.
        split: 'train' (2999 videos, a target) or 'val_orig_10k' (430 videos, in which frame 307 is the very image that
            BDD10K labels; the frame of the video is only close to it).
        benchmark: whose classes to use, 'viper' (15, riders are ignored) or 'synthia_seq' (12, reported as ``mIoU11``
            without fence).
        past, labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``ClipDataset``.

    Raises:
        ValueError: an unknown benchmark.
    """

    LABELS_OF_ALL_FRAMES = False
    DOWNLOAD_HINT = (
        'Unpack the videos of BDD100K and the labels of BDD10K with the scripts of UnifiedVideoDA '
        '(datasets/BDDVid/setup), and set data_root in the config to the folder that holds train/ and '
        'val_orig_10k/, each with images/ and labels/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        benchmark: str,
        past: int | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        if benchmark not in BENCHMARKS:
            raise ValueError(f'BDDVid: benchmark is one of {sorted(BENCHMARKS)}, got {benchmark!r}')
        chosen = BENCHMARKS[benchmark]
        super().__init__(
            data_root=data_root,
            image_folder=f'{split}/images',
            label_folder=f'{split}/labels',
            image_suffix='.jpg',
            label_suffix='.png',
            past=past,
            step=2,
            labelled=labelled,
            label_table=chosen.from_train_ids(),
            indices=indices,
            pipeline=pipeline,
            metainfo={**chosen.metainfo(), **(metainfo or {})},
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def keep(self, name: str) -> bool:
        """Whether the frame is the one that BDD10K labels."""
        return self._parts(name)[1] == LABELLED_FRAME

    def explain_filter(self, names: Collection[str]) -> str:
        """Say which frames are meant."""
        return f'Only frames <video>_{LABELLED_FRAME} are used; found for example {min(names)}.'
