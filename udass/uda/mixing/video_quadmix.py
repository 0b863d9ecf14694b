"""QuadMix on clips: the four directions on two frames and the motion between them.

Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254), its video method.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from mmseg.registry import MODELS
from torch import Tensor

from udass.uda.clip import Clip
from udass.uda.mixing.classes import class_mask
from udass.uda.mixing.long_tail import LongTail, paste_long_tail
from udass.uda.mixing.quadmix import QuadMix, confident_class_mask
from udass.uda.passes import Pass


@MODELS.register_module()
class VideoQuadMix(QuadMix):
    """The two passes TSS and TST of clips. What differs from images:

    - what is mixed of a source frame that is larger than the target is a window of the target's size;
    - classes are drawn on frame t and cut out of both frames; the flow of each pixel comes along (see `paste`);
    - every rare class of the data set (``rare_classes`` of its metainfo) is cut out of the template source, too; only
      the drawn classes are left out of those of the template target;
    - a long-tail image is laid over both frames of both mixtures alike, *under* the template target. It has no motion:
      in all its pixels, covered or not, the student is to use the logits of frame t alone (as published);
    - each pass has a factor of its own, and auxiliary heads do not learn from any; ClassMix, which takes their place
      until there is a template, has that of TST.

    Args:
        start_iter, confidence_threshold, source_classes, target_classes, intra_source, source_to_target,
            target_to_source, intra_target: see `QuadMix`.
        paste_rare_classes: cut every rare class out of the template source, besides ``source_classes`` drawn ones.
        window_rows: smallest and largest first row of the window of a source frame; None takes any that fits.
        tss_scale, tst_scale: factors of the passes in the loss (published: 1 and lambda_T).

    Raises:
        ValueError: a number or threshold out of its range.
    """

    # A long-tail image serves both mixtures.
    number_of_mixes = 1

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
        super().__init__(
            start_iter=start_iter,
            confidence_threshold=confidence_threshold,
            source_classes=source_classes,
            target_classes=target_classes,
            intra_source=intra_source,
            source_to_target=source_to_target,
            target_to_source=target_to_source,
            intra_target=intra_target,
        )
        if min(tss_scale, tst_scale) <= 0:
            raise ValueError(
                f'tss_scale and tst_scale are factors of the loss, larger than 0; got {tss_scale} and {tst_scale}'
            )
        if window_rows is not None and not 0 <= window_rows[0] <= window_rows[1]:
            raise ValueError(
                'window_rows are the smallest and the largest first row of a window, 0 <= first <= last; '
                f'got {tuple(window_rows)}'
            )
        self.paste_rare_classes = paste_rare_classes
        self.window_rows = window_rows
        self.scales = dict(tss=tss_scale, tst=tst_scale)
        # (C,) bool, on the host.
        self.rare: Tensor | None = None

    def forward(
        self,
        source: Clip,
        target: Clip,
        num_classes: int,
        iteration: int,
        generator: torch.Generator,
        long_tail: LongTail | None = None,
        template: Clip | None = None,
    ) -> list[Pass]:
        """As for images.

        Raises:
            ValueError: the long-tail images are larger than the target, so that their objects might be cut off.
        """
        for clip in () if long_tail is None else (draw[0] for draw in long_tail.clips):
            if any(side > limit for side, limit in zip(clip.size, target.size, strict=True)):
                raise ValueError(
                    f'the long-tail images have {clip.size} pixels (height, width), the mixtures only '
                    f'{target.size}: give train_cfg.long_tail a pipeline that crops them to this size '
                    'with ClipCrop, which looks for the drawn class'
                )
        corners = self.draw_windows(len(source), source.size, target.size, generator)
        source = source.crop(corners, target.size)
        passes = super().forward(source, target, num_classes, iteration, generator, long_tail, template)
        return [replace(item, scale=self.scales.get(item.name, self.scales['tst']), auxiliary=False) for item in passes]

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
        self.rare = torch.tensor([name in rare for name in metainfo['classes']])

    def draw_windows(
        self, batch: int, whole: tuple[int, int], size: tuple[int, int], generator: torch.Generator
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

    def _mix(
        self, source: Clip, target: Clip, num_classes: int, generator: torch.Generator, long_tail: LongTail | None
    ) -> list[Pass]:
        old_source, old_target = self.bank.templates(source.frames.device)
        chosen_source, chosen_target = self.draw_classes(old_source, old_target, num_classes, generator)
        if self.rare is not None:
            chosen_source = chosen_source | self.rare.to(chosen_source.device, non_blocking=True)
        source_mask = class_mask(old_source.labels, chosen_source)
        target_mask = confident_class_mask(old_target, chosen_target, self.confidence_threshold)
        mixtures = self.directions.over_domains(source_mask, old_source, source, target)
        shared, still = self.directions.shared(source_mask, target_mask), None
        if long_tail is not None:
            mixtures, tails = zip(*(paste_long_tail(clip, long_tail, 0) for clip in mixtures), strict=True)
            still = tails[0][:, :1]
            # Where only one mixture shows the template target, what lies under it is not shared.
            shared = shared | tails[0] & ~target_mask
        clips = self.directions.over_mixtures(target_mask, old_target, *mixtures)
        return [
            Pass(name, replace(clip, no_flow=still), pasted=shared)
            for name, clip in zip(('tss', 'tst'), clips, strict=True)
        ]
