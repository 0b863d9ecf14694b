"""Cityscapes-Seq (Cordts et al., CVPR 2016): the snippets of 30 frames around the labelled images, as published."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets.cityscapes import Cityscapes
from udass.datasets.clips import ClipDataset
from udass.datasets.video_benchmarks import BENCHMARKS


@DATASETS.register_module()
class CityscapesSeq(ClipDataset):
    """Cityscapes-Seq: ``<data_root>/leftImg8bit_sequence/<split>/<city>/<city>_<seq>_<frame>_leftImg8bit.png``, and
    the label ids of ``gtFine/<split>/<city>/*_gtFine_labelIds.png`` for one frame of each snippet.

    Frame t is the one that the snippet's gtFine file names, as in the benchmarks (2975 clips to train, 500 to
    validate). It is the 20th of a snippet but its number is not always 19 (frankfurt_000000_000294). For a target
    (``labelled=False``) only the names in gtFine are used, its files are never opened. The frame before has no label.

    Args:
        data_root: folder of the data set.
        split: 'train' or 'val'.
        benchmark: whose classes to use, 'viper' (15; riders count as persons), 'viper_rider_ignored' (the same without
            the pixels of riders, as UnifiedVideoDA scores) or 'synthia_seq' (12, reported as ``mIoU11`` without fence).
        every_frame: every frame whose past is there is a clip, not only the one that gtFine names; needs
            ``labelled=False``, and no gtFine.
        frame_before: for testing: the frame before each labelled one is a clip, too, without a label. It is segmented
            for the sake of ``TemporalConsistency`` and does not count in the IoU; testing takes twice the time.
        past, labelled, indices, pipeline, test_mode, lazy_init: see ``ClipDataset``.
        metainfo: replaces or adds to what the benchmark says (but for the classes).

    Raises:
        ValueError: an unknown benchmark, other classes, every_frame with labels, or frame_before without.
        FileNotFoundError: a frame that gtFine names, or one before it, is missing.
    """

    LABELS_OF_ALL_FRAMES = False
    DOWNLOAD_HINT = (
        'Unpack leftImg8bit_sequence_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com, '
        'and set data_root in the config to the folder that holds leftImg8bit_sequence/ and gtFine/.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        split: str,
        benchmark: str,
        every_frame: bool = False,
        frame_before: bool = False,
        past: int | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        if benchmark not in BENCHMARKS:
            raise ValueError(f'CityscapesSeq: benchmark is one of {sorted(BENCHMARKS)}, got {benchmark!r}')
        if every_frame and labelled:
            raise ValueError(
                'CityscapesSeq: every_frame=True needs labelled=False, as one frame of each snippet has a label'
            )
        if frame_before and not (labelled and test_mode):
            raise ValueError(
                'CityscapesSeq: frame_before=True is for testing on labelled frames; it needs '
                f'labelled=True and test_mode=True, got {labelled} and {test_mode}'
            )
        if 'classes' in (metainfo or {}):
            raise ValueError("CityscapesSeq: the benchmark sets the classes; remove 'classes' from metainfo")
        self.every_frame, self.frame_before = every_frame, frame_before
        # Names of the frames that gtFine names; made when listed.
        self._annotated: frozenset[str] = frozenset()
        chosen = BENCHMARKS[benchmark]
        # The cameras are those of Cityscapes: what its images show of the car is here, too.
        margins = Cityscapes.METAINFO['pseudo_margins']
        super().__init__(
            data_root=data_root,
            image_folder=f'leftImg8bit_sequence/{split}',
            label_folder=f'gtFine/{split}',
            image_suffix='_leftImg8bit.png',
            label_suffix='_gtFine_labelIds.png',
            past=past,
            labelled=labelled,
            label_table=chosen.from_cityscapes,
            indices=indices,
            pipeline=pipeline,
            metainfo={**chosen.metainfo(pseudo_margins=margins), **(metainfo or {})},
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def choose(self, names: Sequence[str]) -> list[str]:
        """The frames that gtFine names, with those before them if asked for, or all."""
        if self.every_frame:
            return list(names)
        annotated = self.label_names()
        missing = sorted(set(annotated) - set(names))
        if missing:
            raise FileNotFoundError(
                f'CityscapesSeq: {self.image_path(missing[0])} is missing ({len(missing)} of '
                f'{len(annotated)} frames that gtFine names). {self.DOWNLOAD_HINT}'
            )
        self._annotated = frozenset(annotated)
        if self.frame_before:
            return sorted({*annotated, *(self.earlier(name, 1) for name in annotated)})
        return annotated

    def names_without_label(self, names: Sequence[str]) -> list[str]:
        """Those that need one and have none: a frame before needs none."""
        return [] if self.frame_before else super().names_without_label(names)

    def make_sample(self, name: str) -> dict:
        """Info of a clip; that of a frame before has no label."""
        sample = super().make_sample(name)
        if self.frame_before and name not in self._annotated:
            del sample['seg_map_path']
            sample['label_paths'] = [None] * len(sample['label_paths'])
        return sample

    def starts_after(self, number: int, sequence: dict[int, str]) -> bool:
        """Snippets of one recording share their names' beginning: any gap is the border of one. The frame that gtFine
        names is never at a border."""
        return self.every_frame
