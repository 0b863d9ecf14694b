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

    - classes are drawn on frame t and cut out of both frames; the flow of each pixel comes along (see `paste`);
    - every rare class of the data set (``rare_classes`` of its metainfo) is cut out of the template source, too;
    - a long-tail image is laid over both frames of both mixtures alike, *under* the template target. It has no motion:
      in its pixels the student is to use the score of frame t alone;
    - each pass has a factor of its own, and auxiliary heads do not learn from any; ClassMix, which takes their place
      until there is a template, has that of TST.

    Args:
        start_iter, confidence_threshold, source_classes, target_classes, intra_source, source_to_target,
            target_to_source, intra_target: see `QuadMix`.
        paste_rare_classes: cut every rare class out of the template source, besides ``source_classes`` drawn ones.
        tss_scale, tst_scale: factors of the passes in the loss (published: 1 and lambda_T).

    Raises:
        ValueError: a number or threshold out of its range.
    """

    # A long-tail image serves both mixtures.
    number_of_mixes = 1

    def __init__(self,
                 start_iter: int = 0,
                 confidence_threshold: float = 0.9,
                 source_classes: int = 2,
                 target_classes: int = 2,
                 intra_source: bool = True,
                 source_to_target: bool = True,
                 target_to_source: bool = True,
                 intra_target: bool = True,
                 paste_rare_classes: bool = True,
                 tss_scale: float = 1.0,
                 tst_scale: float = 1.0) -> None:
        super().__init__(start_iter=start_iter, confidence_threshold=confidence_threshold,
                         source_classes=source_classes, target_classes=target_classes, intra_source=intra_source,
                         source_to_target=source_to_target, target_to_source=target_to_source,
                         intra_target=intra_target)
        if min(tss_scale, tst_scale) <= 0:
            raise ValueError('tss_scale and tst_scale are factors of the loss, larger than 0; got '
                             f'{tss_scale} and {tst_scale}')
        self.paste_rare_classes = paste_rare_classes
        self.scales = dict(tss=tss_scale, tst=tst_scale)
        # (C,) bool, on the host.
        self.rare: Tensor | None = None

    def forward(self, source: Clip, target: Clip, num_classes: int, iteration: int, generator: torch.Generator,
                long_tail: LongTail | None = None) -> list[Pass]:
        """As for images."""
        passes = super().forward(source, target, num_classes, iteration, generator, long_tail)
        return [replace(item, scale=self.scales.get(item.name, self.scales['tst']), auxiliary=False) for item in passes]

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Take the rare classes of the source data set.

        Raises:
            ValueError: it names none, but they are to be pasted.
        """
        if not self.paste_rare_classes:
            return
        if not metainfo.get('rare_classes'):
            raise ValueError('VideoQuadMix pastes the rare classes of the source, but its metainfo has no '
                             'rare_classes: add them to the data set, or set paste_rare_classes=False')
        rare = {entry['name'] for entry in metainfo['rare_classes']}
        self.rare = torch.tensor([name in rare for name in metainfo['classes']])

    def _mix(self, source: Clip, target: Clip, num_classes: int, generator: torch.Generator,
             long_tail: LongTail | None) -> list[Pass]:
        old_source, old_target = self.bank.templates(source.frames.device)
        chosen_source, chosen_target = self.draw_classes(old_source, old_target, num_classes, generator)
        source_mask = class_mask(old_source.labels, chosen_source)
        target_mask = confident_class_mask(old_target, chosen_target, self.confidence_threshold)
        mixtures = self.directions.over_domains(source_mask, old_source, source, target)
        shared = self.directions.shared(source_mask, target_mask)
        if long_tail is not None:
            mixtures, tails = zip(*(paste_long_tail(clip, long_tail, 0) for clip in mixtures), strict=True)
            # Where only one mixture shows the template target, what lies under it is not shared.
            shared = shared | tails[0] & ~target_mask
        tss, tst = self.directions.over_mixtures(target_mask, old_target, *mixtures)
        return [Pass(name, clip, pasted=shared) for name, clip in (('tss', tss), ('tst', tst))]

    def draw_source_classes(self, template_source: Clip, num_classes: int, generator: torch.Generator) -> Tensor:
        """As for images, and every rare class."""
        chosen = super().draw_source_classes(template_source, num_classes, generator)
        if self.rare is None:
            return chosen
        return chosen | self.rare.to(chosen.device, non_blocking=True)
