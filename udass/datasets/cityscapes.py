"""Cityscapes (Cordts et al., CVPR 2016), as published: street scenes of 50 cities, and the snippets around them."""

from collections.abc import Sequence

from mmseg.registry import DATASETS

from udass.datasets.base import ClipDataset, UDADataset, classes

# What QuadMix pastes where Cityscapes is the source; the threshold is the one that it has for GTA.
_RARE = ('fence', 'traffic light', 'bus', 'motorcycle', 'bicycle')


@DATASETS.register_module()
class Cityscapes(UDADataset):
    """Cityscapes: ``<data_root>/leftImg8bit/<split>/<city>/*_leftImg8bit.png`` with the label ids of
    ``gtFine/<split>/<city>/*_gtFine_labelIds.png`` (no ``_labelTrainIds`` files are needed). mmseg has the name
    ``CityscapesDataset``.

    Args:
        split: 'train' (2975), 'val' (500) or 'test' (1525, whose labels only the server has: labelled=False).
        common: see ``UDADataset``.
    """

    METAINFO = classes.metainfo(
        rare_classes=classes.rare_classes(_RARE, min_pixels=50),
        # The car's bonnet and star below, the border of the rectification around (HRDA). At 1024x512 these are the
        # rows that DAFormer leaves out, 15 and 120.
        pseudo_margins=dict(size=(2048, 1024), top=30, bottom=240, left=30, right=30),
        # The server finds the file of an image by its <city>_<sequence>_<frame>, and takes label ids.
        submission=dict(
            image_suffix='_leftImg8bit.png',
            file_suffix='_leftImg8bit.png',
            ids=dict(zip(classes.CLASSES, classes.LABEL_IDS, strict=True)),
        ),
    )
    IMAGE_FOLDER, LABEL_FOLDER = 'leftImg8bit/{split}', 'gtFine/{split}'
    IMAGE_SUFFIX, LABEL_SUFFIX = '_leftImg8bit.png', '_gtFine_labelIds.png'
    LABEL_TABLE = classes.LABEL_TABLE
    DOWNLOAD_HINT = (
        'Unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com, and set data_root '
        'in the config to the folder that holds leftImg8bit/ and gtFine/.'
    )

    def __init__(self, *, split: str, **common: object) -> None:
        self.split = split
        super().__init__(**common)


@DATASETS.register_module()
class CityscapesSeq(ClipDataset):
    """Cityscapes-Seq: ``<data_root>/leftImg8bit_sequence/<split>/<city>/<city>_<seq>_<frame>_leftImg8bit.png``, and
    the label ids of ``gtFine/<split>/<city>/*_gtFine_labelIds.png`` for one frame of each snippet of 30.

    Frame t is the one that the snippet's gtFine file names, as in the benchmarks (2975 clips to train, 500 to
    validate). It is the 20th of a snippet but its number is not always 19 (frankfurt_000000_000294). For a target
    (``labelled=False``) only the names in gtFine are used, its files are never opened. The frame before has no label.

    Args:
        split: 'train' or 'val'.
        benchmark: whose classes to use, 'viper' (15; riders count as persons), 'viper_rider_ignored' (the same without
            the pixels of riders, as in UnifiedVideoDA) or 'synthia_seq' (12, reported as ``mIoU11`` without fence).
        every_frame: every frame whose past is there is a clip; needs ``labelled=False``, and no gtFine.
        frame_before: for testing: the frame before each labelled one is a clip, too, without a label. It is segmented
            for the sake of ``TemporalConsistency`` and does not count in the IoU; testing takes twice the time.
        metainfo: replaces or adds to that of the benchmark (but for the classes).
        labelled, test_mode, common: see ``ClipDataset``.

    Raises:
        ValueError: these options do not go together, or the benchmark is unknown.
        FileNotFoundError: a frame that gtFine names, or one before it, is missing.
    """

    IMAGE_FOLDER, LABEL_FOLDER = 'leftImg8bit_sequence/{split}', 'gtFine/{split}'
    IMAGE_SUFFIX, LABEL_SUFFIX = '_leftImg8bit.png', '_gtFine_labelIds.png'
    LABELS_OF_ALL_FRAMES = False
    DOWNLOAD_HINT = (
        'Unpack leftImg8bit_sequence_trainvaltest.zip and gtFine_trainvaltest.zip of cityscapes-dataset.com, and set '
        'data_root in the config to the folder that holds leftImg8bit_sequence/ and gtFine/.'
    )

    def __init__(
        self,
        *,
        split: str,
        benchmark: str,
        every_frame: bool = False,
        frame_before: bool = False,
        metainfo: dict | None = None,
        labelled: bool = True,
        test_mode: bool = False,
        **common: object,
    ) -> None:
        chosen = classes.video_benchmark(benchmark, 'CityscapesSeq')
        if every_frame and labelled:
            raise ValueError('CityscapesSeq: every_frame=True needs labelled=False: one frame of a snippet has a label')
        if frame_before and not (labelled and test_mode):
            raise ValueError(
                'CityscapesSeq: frame_before=True is for testing on labelled frames; it needs labelled=True and '
                f'test_mode=True, got {labelled} and {test_mode}'
            )
        if 'classes' in (metainfo or {}):
            raise ValueError("CityscapesSeq: the benchmark sets the classes; remove 'classes' from metainfo")
        self.split, self.every_frame, self.frame_before = split, every_frame, frame_before
        # Names of the frames that gtFine names; made when listed.
        self._annotated: frozenset[str] = frozenset()
        # The cameras are those of Cityscapes: the same part of the car is in the images.
        margins = Cityscapes.METAINFO['pseudo_margins']
        super().__init__(
            label_table=chosen.from_label_ids(),
            metainfo={**chosen.metainfo(pseudo_margins=margins), **(metainfo or {})},
            labelled=labelled,
            test_mode=test_mode,
            **common,
        )

    def choose(self, names: Sequence[str]) -> list[str]:
        """The frames that gtFine names, with those before them if requested, or all."""
        if self.every_frame:
            return list(names)
        annotated = self.label_names()
        missing = sorted(set(annotated) - set(names))
        if missing:
            raise FileNotFoundError(
                f'CityscapesSeq: {self.image_path(missing[0])} is missing ({len(missing)} of {len(annotated)} frames '
                f'that gtFine names). {self.DOWNLOAD_HINT}'
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
        """The names of neighbouring snippets begin alike: any gap is the border of one. The frame that gtFine names is
        never at a border."""
        return self.every_frame
