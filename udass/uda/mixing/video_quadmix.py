"""QuadMix on clips: the four directions on two frames and the motion between them.

Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254), its video method.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from mmseg.registry import MODELS
from torch import Generator, Tensor

from udass.uda.clip import Clip, Pass
from udass.uda.mixing.long_tail import LongTail, paste_long_tail
from udass.uda.mixing.quadmix import QuadMix


@MODELS.register_module()
class VideoQuadMix(QuadMix):
    """The two passes TSS and TST of clips. It differs from `QuadMix` on images:

    - of a source frame that is larger than the target, a window of the target's size is mixed;
    - classes are drawn on frame t and cut out of both frames; the flow of each pixel comes along (see `paste`);
    - every rare class of the data set (``rare_classes`` of its metainfo) is cut out of the template source, too; only
      the drawn classes are left out of those of the template target;
    - a long-tail image is pasted on both frames of both mixtures alike, *under* the template target. It has no motion:
      in all its pixels, covered or not, the student uses the logits of frame t alone (as published);
    - each pass has its own factor in the loss, and auxiliary heads learn from none; ClassMix, which takes their place
      until there is a template, has the factor of TST.

    Args:
        start_iter, confidence_threshold, source_classes, target_classes, intra_source, source_to_target,
            target_to_source, intra_target: see `QuadMix`.
        paste_rare_classes: cut every rare class out of the template source, besides ``source_classes`` drawn ones.
        window_rows: smallest and largest first row of the window of a source frame; None takes any that fits.
        tss_scale, tst_scale: factors of the passes in the loss (published: 1 and lambda_T).
    """

    # A long-tail image serves both mixtures.
    number_of_mixes = 1
    auxiliary = False

    def __init__(
        self,
        start_iter: int = 0,
        confidence_threshold: float = 0.9,
        source_classes: int = 2,
        target_classes: int = 2,
        intra_source: bool = True,
        source_to_target: bool = True,
        target_to_source: bool = True,
        intra_target: bool = True,
        paste_rare_classes: bool = True,
        window_rows: tuple[int, int] | None = None,
        tss_scale: float = 1.0,
        tst_scale: float = 1.0,
    ) -> None:
        directions = (intra_source, source_to_target, target_to_source, intra_target)
        super().__init__(start_iter, confidence_threshold, source_classes, target_classes, *directions)
        if min(tss_scale, tst_scale) <= 0:
            raise ValueError(f'tss_scale and tst_scale must be larger than 0; got {tss_scale} and {tst_scale}')
        if window_rows is not None and not 0 <= window_rows[0] <= window_rows[1]:
            raise ValueError(f'window_rows are (first, last) with 0 <= first <= last; got {tuple(window_rows)}')
        self.paste_rare_classes = paste_rare_classes
        self.window_rows = window_rows
        self.scales = dict(mix=tst_scale, tss=tss_scale, tst=tst_scale)

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Take the rare classes of the source data set.

        Raises:
            ValueError: it names none, but they are to be pasted.
        """
        if not self.paste_rare_classes:
            return
        if not metainfo.get('rare_classes'):
            raise ValueError(
                'VideoQuadMix pastes the rare classes of the source, but its metainfo has no '
                'rare_classes: add them to the data set, or set paste_rare_classes=False'
            )
        rare = {entry['name'] for entry in metainfo['rare_classes']}
        self.always_pasted = torch.tensor([name in rare for name in metainfo['classes']])

    def fit_source(self, source: Clip, target: Clip, generator: Generator) -> Clip:
        """Windows of the target's size."""
        corners = self.draw_windows(len(source), source.size, target.size, generator)
        return super().fit_source(source.crop(corners, target.size), target, generator)

    def draw_windows(
        self, batch: int, whole: tuple[int, int], size: tuple[int, int], generator: Generator
    ) -> list[tuple[int, int]]:
        """First row and column of a window of ``size`` (H, W) in each of ``batch`` frames of size ``whole``; (0, 0)
        along a side that is not larger.

        Raises:
            ValueError: no window that starts in ``window_rows`` fits into the frame.
        """
        last = [max(long - short, 0) for long, short in zip(whole, size, strict=True)]
        first_row, last_row = (0, last[0]) if self.window_rows is None else self.window_rows
        if last_row > last[0]:
            raise ValueError(
                f'window_rows={tuple(self.window_rows)}, but a window of {size[0]} rows fits into a frame '
                f'of {whole[0]} rows only down to first row {last[0]}: choose other window_rows'
            )
        if not any(last):
            return [(0, 0)] * batch
        shares = torch.rand(batch, 2, generator=generator).tolist()
        return [
            (first_row + int(row * (last_row - first_row + 1)), int(column * (last[1] + 1))) for row, column in shares
        ]

    def mix(
        self,
        current: tuple[Clip, Clip],
        templates: tuple[Clip, Clip],
        masks: tuple[Tensor, Tensor],
        long_tail: LongTail | None,
    ) -> list[Pass]:
        """As for images, but objects of the long tail lie under the template target.

        Raises:
            ValueError: the long-tail images are larger than the target, so that their objects might be cut off.
        """
        mixtures = self.directions.over_domains(masks[0], templates[0], *current)
        shared, no_flow = self.directions.shared(*masks), None
        if long_tail is not None:
            _check_long_tail(long_tail, current[1].size)
            mixtures, tails = zip(*(paste_long_tail(clip, long_tail, 0) for clip in mixtures), strict=True)
            no_flow = tails[0][:, :1]
            # Where only one mixture has the template target on top, what lies under it is not shared.
            shared = shared | tails[0] & ~masks[1]
        clips = self.directions.over_mixtures(masks[1], templates[1], *mixtures)
        return [
            Pass(name, replace(clip, no_flow=no_flow), pasted=shared)
            for name, clip in zip(('tss', 'tst'), clips, strict=True)
        ]


def _check_long_tail(long_tail: LongTail, size: tuple[int, int]) -> None:
    for clip in (draw[0] for draw in long_tail.clips):
        if any(side > limit for side, limit in zip(clip.size, size, strict=True)):
            raise ValueError(
                f'the long-tail images have {clip.size} pixels (height, width), the mixtures only {size}: give '
                'train_cfg.long_tail a pipeline that crops them to this size with ClipCrop, which looks for the class'
            )
