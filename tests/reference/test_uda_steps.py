"""Whole training steps against the reference's: logged losses, accumulated gradients and the updated teacher."""

import pytest
import torch
from mmengine.optim import OptimWrapper

from tests.reference.image_steps import ImageSteps
from udass.models.checkpoints import to_reference
from udass.uda.clip import Clip

STEPS = {
    'daformer': 'uda_step_daformer_mitb0',
    'mic': 'uda_step_mic_hrda_mitb0',
    'quad': 'uda_step_quadmix_daformer_mitb0',
}


class KeepGradients(OptimWrapper):
    """Leaves weights and gradients as they are at the end of the step."""

    def step(self, **kwargs):
        pass

    def zero_grad(self, **kwargs):
        pass


def templates(steps):
    """What the iteration before left for QuadMix, two clips."""
    golden, series = steps.golden, 'step_quad'
    size = (2, *steps.size)

    def clip(domain, labels, weights, confidence=None):
        return Clip(
            golden.image(f'{series}/{domain}_template', (2, 3, *steps.size))[:, None],
            labels[:, None],
            weights[:, None],
            confidence,
        )

    source_label = golden.labels(f'{series}/source_template_label', size, block=32, ignore=0.02)
    target_label = golden.labels(f'{series}/target_template_label', size, block=32, ignore=0)
    confident = golden.uniform(f'{series}/target_template_confident', size) > 0.3
    return (
        clip('source', source_label, torch.ones(size)),
        clip(
            'target', target_label, golden.uniform(f'{series}/target_template_weight', size), confident.float()[:, None]
        ),
    )


@pytest.fixture(scope='module', params=STEPS)
def step(request):
    """The step, done, with its log."""
    steps = ImageSteps(request.param, STEPS[request.param], teacher='ema_model.')
    expected, margins = steps.expected, None
    if request.param != 'mic':
        margins = int(expected['ignore_top']), int(expected['ignore_bottom'])
    if request.param == 'quad':
        steps.adapter.mixing.bank.store(*templates(steps), iteration=steps.adapter.iteration - 1)
    optimizer = KeepGradients(torch.optim.SGD(steps.adapter.student.parameters(), lr=0.1))
    with steps.choices(
        expected['source_classes'],
        expected.get('target_classes'),
        expected.get('block_mask'),
        steps.boxes[0] if request.param == 'mic' else None,
    ):
        steps.log = steps.adapter.train_step(steps.data(f'step_{request.param}', margins=margins), optimizer)
    return steps


def test_losses(step):
    stored = {name: float(value) for name, value in step.losses().items()}
    losses = {key: value.item() for key, value in step.log.items() if key not in ('loss', 'confidence')}
    assert losses == pytest.approx(stored, rel=1e-4)


def test_accumulated_gradients(step):
    parameters = step.adapter.student.named_parameters()
    norms = {
        name: gradient.norm().item()
        for name, gradient in to_reference({name: value.grad for name, value in parameters}).items()
    }
    stored = dict(zip(step.expected['grad_norm_names'].tolist(), step.expected['grad_norms'].tolist(), strict=True))
    assert norms == pytest.approx(stored, rel=5e-3, abs=1e-6)


def test_the_teacher_was_updated_before_it_labelled(step):
    teacher = to_reference(dict(step.adapter.teacher.named_parameters()))
    stored = {
        key.removeprefix('teacher_norm/'): float(value)
        for key, value in step.expected.items()
        if key.startswith('teacher_norm/')
    }
    assert stored and {name: teacher[name].norm().item() for name in stored} == pytest.approx(stored, rel=1e-5)
