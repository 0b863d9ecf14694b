"""QuadMix on images: four mixing directions between two domains and two points in time.

Source: Unified Domain Adaptive Semantic Segmentation (TPAMI 2025, arXiv 2311.13254), section "Quad-directional mixup".
S, T are this iteration's source and target, S', T' those of the iteration before (the templates).
"""

from dataclasses import dataclass, fields

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.uda.clip import Clip, paste
from udass.uda.mixing.classes import choose_classes, class_mask, half_of, present_classes
from udass.uda.mixing.classmix import ClassMix
from udass.uda.mixing.long_tail import LongTail, paste_long_tail
from udass.uda.passes import Pass


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
        """Where TSS and TST show the same pasted pixels, for the masks of the two templates."""
        shared = source_mask & (self.intra_source and self.source_to_target)
        if self.target_to_source and self.intra_target:
            return shared | target_mask
        # Pasted over one of the images, the template target hides what lies under it there.
        return shared & ~target_mask if self.target_to_source or self.intra_target else shared


@dataclass(frozen=True)
class QuadMixed:
    """The four mixtures: SS and ST (template source over S and T), then TSS and TST (template target over those)."""

    ss: Clip
    st: Clip
    tss: Clip
    tst: Clip


def confident_class_mask(template: Clip, chosen: Tensor, threshold: float) -> Tensor:
    """Pixels of the template target that are pasted: a chosen class (N, C) and confidence of at least the threshold."""
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
    """The four mixtures for given masks.

    Args:
        source, target, template_source, template_target: clips of one size.
        source_mask: (N, T, H, W) bool, pixels of the template source to paste.
        target_mask: (N, T, H, W) bool, pixels of the template target to paste.
    """
    ss, st = directions.over_domains(source_mask, template_source, source, target)
    tss, tst = directions.over_mixtures(target_mask, template_target, ss, st)
    return QuadMixed(ss=ss, st=st, tss=tss, tst=tst)


class TemplateBank(nn.Module):
    """The previous iteration's source and target, kept in the checkpoint with the iteration they are from."""

    def __init__(self) -> None:
        super().__init__()
        self.iteration: int | None = None
        self.source: Clip | None = None
        self.target: Clip | None = None

    def fits(self, source: Clip, target: Clip) -> bool:
        """Whether there are templates of the same shapes."""
        if self.source is None or self.target is None:
            return False
        return self.source.frames.shape == source.frames.shape and self.target.frames.shape == target.frames.shape

    def templates(self, device: torch.device) -> tuple[Clip, Clip]:
        """Source and target on a device; a resumed checkpoint has them elsewhere."""
        return tuple(clip.map(lambda value: value.to(device)) for clip in (self.source, self.target))

    def store(self, source: Clip, target: Clip, iteration: int) -> None:
        """Keep this iteration's clips for the next one."""
        self.source, self.target, self.iteration = source, target, iteration

    def clear(self) -> None:
        """Have no templates."""
        self.source, self.target, self.iteration = None, None, None

    def get_extra_state(self) -> dict:
        def tensors(clip: Clip | None) -> dict | None:
            return None if clip is None else {field.name: getattr(clip, field.name) for field in fields(clip)}

        return {'iteration': self.iteration, 'source': tensors(self.source), 'target': tensors(self.target)}

    def set_extra_state(self, state: dict) -> None:
        self.iteration = state['iteration']
        self.source = None if state['source'] is None else Clip(**state['source'])
        self.target = None if state['target'] is None else Clip(**state['target'])


@MODELS.register_module()
class QuadMix(nn.Module):
    """The two passes TSS and TST; ClassMix until ``start_iter`` and wherever there is no fitting template.

    Args:
        start_iter: first iteration that mixes in four directions.
        confidence_threshold: smallest confidence of a pasted template-target pixel, in [0, 1].
        source_classes, target_classes: how many classes to paste from each template. At most half of the source classes
            present (rounded up) are used, so that images of few classes still mix.
        intra_source, source_to_target, target_to_source, intra_target: switch each direction (for ablations).
        scale: factor of each of the two passes in the loss.

    Attributes:
        number_of_mixes: mixed images per target image that take a long-tail paste.
        shares_pasted: its passes say where they share pasted content, so that decoder features may be mixed there.

    Raises:
        ValueError: a number or threshold out of its range.
    """

    number_of_mixes = 2
    shares_pasted = True

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
                'start_iter is an iteration (0 or more), source_classes and target_classes are numbers of '
                f'classes (1 or more; to leave a direction out, switch it off); got {start_iter}, '
                f'{source_classes} and {target_classes}'
            )
        if scale <= 0:
            raise ValueError(f'scale is a factor of the loss, larger than 0; got {scale}')
        if not 0 <= confidence_threshold <= 1:
            raise ValueError(f'confidence_threshold is a softmax score in [0, 1]; got {confidence_threshold}')
        self.start_iter = start_iter
        self.confidence_threshold = confidence_threshold
        self.source_classes = source_classes
        self.target_classes = target_classes
        self.directions = Directions(intra_source, source_to_target, target_to_source, intra_target)
        self.scales = dict(tss=scale, tst=scale)
        self.bank = TemplateBank()
        self.before_start = ClassMix()

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
        """Mix this iteration's clips with the templates, then keep them as the next templates.

        Args:
            template: the target that is kept in the place of ``target`` (without the augmentation that this one has).
        """
        source = source.fit(len(target), target.size)
        if iteration >= self.start_iter and self.bank.fits(source, target):
            passes = self._mix(source, target, num_classes, generator, long_tail)
        else:
            passes = self.before_start(source, target, num_classes, iteration, generator)
        self.bank.store(source, target if template is None else template, iteration)
        return passes

    def _mix(
        self, source: Clip, target: Clip, num_classes: int, generator: torch.Generator, long_tail: LongTail | None
    ) -> list[Pass]:
        old_source, old_target = self.bank.templates(source.frames.device)
        chosen_source, chosen_target = self.draw_classes(old_source, old_target, num_classes, generator)
        source_mask = class_mask(old_source.labels, chosen_source)
        target_mask = confident_class_mask(old_target, chosen_target, self.confidence_threshold)
        mixed = quadmix(source, target, old_source, old_target, source_mask, target_mask, self.directions)
        shared = self.directions.shared(source_mask, target_mask)
        clips = [mixed.tss, mixed.tst]
        if long_tail is not None:
            for number, clip in enumerate(clips):
                # Each mixed image gets objects of its own.
                clips[number], own = paste_long_tail(clip, long_tail, number)
                shared = shared & ~own
        return [
            Pass(name, clip, scale=self.scales[name], pasted=shared)
            for name, clip in zip(('tss', 'tst'), clips, strict=True)
        ]

    def draw_classes(
        self, template_source: Clip, template_target: Clip, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Classes to paste from each template, two (N, C) bool; those of the target are none of the source's."""
        chosen_source = self.draw_source_classes(template_source, num_classes, generator)
        others = present_classes(template_target.labels[:, :1], num_classes) & ~chosen_source
        number = torch.full((len(others),), self.target_classes, device=others.device)
        return chosen_source, choose_classes(others, number, generator)

    def draw_source_classes(self, template_source: Clip, num_classes: int, generator: torch.Generator) -> Tensor:
        """Classes to paste from the template source, (N, C) bool."""
        present = present_classes(template_source.labels[:, :1], num_classes)
        return choose_classes(present, half_of(present).clamp(max=self.source_classes), generator)
