"""Check that the components and optimizers of an adapter fit each other."""

from typing import Any

from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn

from udass.models.data_preprocessor import PixelPreprocessor
from udass.models.heads.checking import check_heads
from udass.models.segmentors import HRDAEncoderDecoder, SlidingEncoderDecoder
from udass.uda.masking import TokenMasking
from udass.uda.mixing.feature_mixing import fusion_layer


def check_adapter(adapter: Any) -> None:
    """Raises ValueError if components of a `DomainAdapter` would silently not do what their config says."""
    student = adapter.student
    if not isinstance(student.data_preprocessor, PixelPreprocessor):
        raise ValueError(
            f'the data_preprocessor of the student is a {type(student.data_preprocessor).__name__}: the '
            'training step needs a PixelPreprocessor, which takes the arguments of SegDataPreProcessor'
        )
    check_heads(student, needs_weights=adapter.ema is not None)
    if adapter.eval_branch not in ('student', 'teacher'):
        raise ValueError(f"eval_branch is 'student' or 'teacher'; got {adapter.eval_branch!r}")
    if adapter.eval_branch == 'teacher' and adapter.ema is None:
        raise ValueError('eval_branch is teacher, but this method has no teacher: set it to student, or add ema')
    if adapter.ema is not None and not adapter.teacher_batch_statistics and not adapter.ema.copy_buffers:
        raise ValueError(
            'teacher_batch_statistics=False uses running statistics that nothing would ever update: '
            'set ema.copy_buffers=True too'
        )
    if not adapter.masked_statistics and adapter.masking is None:
        raise ValueError('masked_statistics=False is about the masked pass, which this method lacks: leave it out')
    _check_outputs(adapter, student)
    if isinstance(adapter.masking, TokenMasking):
        _check_mask_token(student)
    if adapter.feature_mixing is not None:
        fusion_layer(student)
        if not adapter.mixing.shares_pasted:
            raise ValueError(
                'feature_mixing mixes the features of two mixed passes, which '
                f'{type(adapter.mixing).__name__} does not make: use QuadMix, or leave feature_mixing out'
            )


def _check_outputs(adapter: Any, student: nn.Module) -> None:
    """Whether the student gives the features and logits that losses are made of."""
    names = ('feature_distance', 'adaptation_loss', 'distillation')
    needs_outputs = [name for name in names if getattr(adapter, name) is not None]
    if needs_outputs and not isinstance(student, SlidingEncoderDecoder):
        raise ValueError(
            f'{" and ".join(needs_outputs)} need features and logits of the training forward, which '
            f'{type(student).__name__} does not give: use SlidingEncoderDecoder or HRDAEncoderDecoder'
        )
    if adapter.feature_distance is not None and student.with_neck:
        raise ValueError(
            'feature_distance compares features of the backbone with those of its ImageNet weights, but a '
            'neck without such weights comes between: leave feature_distance out'
        )
    if adapter.adaptation_loss is not None and isinstance(student, HRDAEncoderDecoder):
        raise ValueError(
            'adaptation_loss compares logits of both domains, but those of an HRDAEncoderDecoder come from '
            'one detail crop for labelled images and from all for unlabelled ones: use a network without HRDA'
        )


def _check_mask_token(student: nn.Module) -> None:
    """Whether tokens of the student can be masked."""
    if not isinstance(student, SlidingEncoderDecoder) or isinstance(student, HRDAEncoderDecoder):
        raise ValueError(
            f'TokenMasking masks the tokens of one image, which {type(student).__name__} does not hand on to its '
            'backbone: use SlidingEncoderDecoder or FlowGuidedEncoderDecoder, or BlockMasking'
        )
    if getattr(student.backbone, 'mask_token', None) is None:
        raise ValueError(
            f'TokenMasking needs a mask token, which the backbone {type(student.backbone).__name__} does not have: use '
            'DINOv2 or TimmViT with mask_token=True, or BlockMasking'
        )


def check_optimizers(
    adaptation_loss: nn.Module | None, optim_wrapper: OptimWrapper | OptimWrapperDict
) -> tuple[OptimWrapper, OptimWrapper | None]:
    """The optimizer of the student and that of the adaptation loss, if it has trained parameters."""
    trains = adaptation_loss is not None and any(parameter.requires_grad for parameter in adaptation_loss.parameters())
    needed = ['student', 'adaptation_loss'] if trains else ['student']
    several = isinstance(optim_wrapper, OptimWrapperDict)
    given = dict(optim_wrapper.items()) if several else {'student': optim_wrapper}
    if not set(needed) <= set(given):
        raise ValueError(
            f'this method is trained by optimizers of {" and ".join(needed)}, the config has those of '
            f'{" and ".join(given)}: set optim_wrapper, see configs/_base_/schedules'
        )
    for wrapper in given.values():
        check_accumulation(getattr(wrapper, '_accumulative_counts', 1))
    return given['student'], given.get('adaptation_loss')


def check_accumulation(counts: int) -> None:
    """Raises ValueError if an optimizer wrapper is to accumulate gradients by itself."""
    if counts != 1:
        raise ValueError(
            'an optimizer wrapper cannot accumulate gradients by itself, because an iteration has several backward '
            'passes and one step of its own: set optim_wrapper.accumulative_counts of the config, which holds for all '
            'parts of the model'
        )
