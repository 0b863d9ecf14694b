"""QuadMix on images: four mixing directions between two domains and two points in time.

Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254), section "Quad-directional mixup".
S and T are this iteration's source and target. S' and T' are those of the iteration before, the templates.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from mmseg.registry import MODELS
from torch import Generator, Tensor, nn

from udass.uda.clip import Clip, Pass, paste
from udass.uda.mixing.base import Mixing
from udass.uda.mixing.classes import choose_classes, class_mask, half_of, present_classes
from udass.uda.mixing.classmix import ClassMix
from udass.uda.mixing.long_tail import LongTail, paste_long_tail


@dataclass(frozen=True)
class Directions:
    """Which of the four directions are mixed; a direction that is off leaves the image underneath as it is."""

    intra_source: bool = True
    source_to_target: bool = True
    target_to_source: bool = True
    intra_target: bool = True

    def over_domains(self, mask: Tensor, template: Clip, source: Clip, target: Clip) -> tuple[Clip, Clip]:
        """SS and ST: the template source over source and target."""
        return (
            paste(mask, template, source) if self.intra_source else source,
            paste(mask, template, target) if self.source_to_target else target,
        )

    def over_mixtures(self, mask: Tensor, template: Clip, ss: Clip, st: Clip) -> tuple[Clip, Clip]:
        """TSS and TST: the template target over SS and ST."""
        return (
            paste(mask, template, ss) if self.target_to_source else ss,
            paste(mask, template, st) if self.intra_target else st,
        )

    def shared(self, source_mask: Tensor, target_mask: Tensor) -> Tensor:
        """Where TSS and TST have the same pasted pixels, for the masks of the two templates."""
        shared = source_mask & (self.intra_source and self.source_to_target)
        if self.target_to_source and self.intra_target:
            return shared | target_mask
        # Pasted over one of the images only, the template target hides what both had there.
        return shared & ~target_mask if self.target_to_source or self.intra_target else shared


class QuadMixed(NamedTuple):
    """SS and ST (template source over S and T), then TSS and TST (template target over those)."""

    ss: Clip
    st: Clip
    tss: Clip
    tst: Clip


def confident_class_mask(template: Clip, chosen: Tensor, threshold: float) -> Tensor:
    """Pixels of the template target to paste: a chosen class (N, C), and confidence of at least the threshold."""
    return class_mask(template.labels, chosen) & (template.confidence >= threshold)


def quadmix(
    source: Clip,
    target: Clip,
    template_source: Clip,
    template_target: Clip,
    source_mask: Tensor,
    target_mask: Tensor,
    directions: Directions = Directions(),
) -> QuadMixed:
    """The four mixtures of clips of one size; the masks (N, T, H, W) bool say what to paste from each template."""
    ss, st = directions.over_domains(source_mask, template_source, source, target)
    return QuadMixed(ss, st, *directions.over_mixtures(target_mask, template_target, ss, st))


class TemplateBank(nn.Module):
    """The previous iteration's source and target, saved in the checkpoint with the number of this iteration."""

    source: Clip | None
    target: Clip | None
    iteration: int | None

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        """Have no templates."""
        self.store(None, None, None)

    def store(self, source: Clip | None, target: Clip | None, iteration: int | None) -> None:
        """Keep this iteration's clips for the next one."""
        self.source, self.target, self.iteration = source, target, iteration

    def fits(self, source: Clip, target: Clip) -> bool:
        """Whether there are templates of the same shapes."""
        if self.source is None or self.target is None:
            return False
        return self.source.frames.shape == source.frames.shape and self.target.frames.shape == target.frames.shape

    def templates(self, device: torch.device) -> tuple[Clip, Clip]:
        """Source and target on a device; those of a resumed checkpoint are on another one."""
        source, target = (clip.map(lambda value: value.to(device)) for clip in (self.source, self.target))
        return source, target

    def get_extra_state(self) -> dict:
        source, target = (None if clip is None else vars(clip).copy() for clip in (self.source, self.target))
        return {'iteration': self.iteration, 'source': source, 'target': target}

    def set_extra_state(self, state: dict) -> None:
        source, target = (None if state[name] is None else Clip(**state[name]) for name in ('source', 'target'))
        self.store(source, target, state['iteration'])


@MODELS.register_module()
class QuadMix(Mixing):
    """The two passes TSS and TST; ClassMix until ``start_iter`` and wherever there is no fitting template.

    Args:
        start_iter: first iteration that mixes in four directions.
        confidence_threshold: smallest confidence of a pasted template-target pixel, in [0, 1].
        source_classes, target_classes: how many classes to paste from each template. At most half of the present source
            classes (rounded up) are used, so that images of few classes still mix.
        intra_source, source_to_target, target_to_source, intra_target: switch each direction (for ablations).
        scale: factor of each of the two passes in the loss.
    """

    number_of_mixes = 2
    shares_pasted = True
    # Whether auxiliary heads learn from its passes.
    auxiliary = True

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
        scale: float = 0.5,
    ) -> None:
        super().__init__()
        if start_iter < 0 or min(source_classes, target_classes) < 1:
            raise ValueError(
                'start_iter must be 0 or more, source_classes and target_classes 1 or more (to leave a direction out, '
                f'switch it off); got {start_iter}, {source_classes} and {target_classes}'
            )
        if scale <= 0:
            raise ValueError(f'scale is a factor of the loss, larger than 0; got {scale}')
        if not 0 <= confidence_threshold <= 1:
            raise ValueError(f'confidence_threshold is a probability in [0, 1]; got {confidence_threshold}')
        self.start_iter = start_iter
        self.confidence_threshold = confidence_threshold
        self.source_classes = source_classes
        self.target_classes = target_classes
        self.directions = Directions(intra_source, source_to_target, target_to_source, intra_target)
        # Factors in the loss by name of the pass; `forward` sets them.
        self.scales = dict(mix=1.0, tss=scale, tst=scale)
        # Classes that are always pasted from the template source, (C,) bool on the host.
        self.always_pasted: Tensor | None = None
        self.bank = TemplateBank()
        self.before_start = ClassMix()

    def forward(
        self,
        source: Clip,
        target: Clip,
        num_classes: int,
        iteration: int,
        generator: Generator,
        long_tail: LongTail | None = None,
        template: Clip | None = None,
    ) -> list[Pass]:
        """Mix this iteration's clips with the templates, then keep them as the next templates; see `Mixing`."""
        source = self.fit_source(source, target, generator)
        if iteration >= self.start_iter and self.bank.fits(source, target):
            old_source, old_target = self.bank.templates(source.frames.device)
            # 1. Masks (N, T, H, W) of the pixels to paste from each template.
            chosen_source, chosen_target = self.draw_classes(old_source, old_target, num_classes, generator)
            if self.always_pasted is not None:
                chosen_source = chosen_source | self.always_pasted.to(chosen_source.device, non_blocking=True)
            source_mask = class_mask(old_source.labels, chosen_source)
            target_mask = confident_class_mask(old_target, chosen_target, self.confidence_threshold)
            # 2. Mixtures along the four directions.
            passes = self.mix((source, target), (old_source, old_target), (source_mask, target_mask), long_tail)
        else:
            passes = self.before_start(source, target, num_classes, iteration, generator)
        # 3. The templates of the next iteration.
        self.bank.store(source, target if template is None else template, iteration)
        return [replace(item, scale=self.scales[item.name], auxiliary=self.auxiliary) for item in passes]

    def fit_source(self, source: Clip, target: Clip, generator: Generator) -> Clip:
        """The source with the target's batch and size."""
        return source.match_shape(len(target), target.size)

    def mix(
        self,
        current: tuple[Clip, Clip],
        templates: tuple[Clip, Clip],
        masks: tuple[Tensor, Tensor],
        long_tail: LongTail | None,
    ) -> list[Pass]:
        """TSS and TST of (source, target) pairs of clips and masks, under objects of the long tail."""
        mixed = quadmix(*current, *templates, *masks, directions=self.directions)
        shared = self.directions.shared(*masks)
        clips = [mixed.tss, mixed.tst]
        for number in range(len(clips)) if long_tail is not None else ():
            # Each mixed image gets objects of its own.
            clips[number], pasted = paste_long_tail(clips[number], long_tail, number)
            shared = shared & ~pasted
        return [Pass(name, clip, pasted=shared) for name, clip in zip(('tss', 'tst'), clips, strict=True)]

    def draw_classes(
        self, template_source: Clip, template_target: Clip, num_classes: int, generator: Generator
    ) -> tuple[Tensor, Tensor]:
        """Classes to paste from each template, two (N, C) bool; those of the target are none of the source's."""
        present = present_classes(template_source.labels[:, :1], num_classes)
        chosen_source = choose_classes(present, half_of(present).clamp(max=self.source_classes), generator)
        others = present_classes(template_target.labels[:, :1], num_classes) & ~chosen_source
        number = torch.full((len(others),), self.target_classes, device=others.device)
        return chosen_source, choose_classes(others, number, generator)

    def clear_templates(self) -> None:
        """Forget the clips of the iteration before."""
        self.bank.clear()
