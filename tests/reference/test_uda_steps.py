"""Whole training steps against the reference's: logged losses, accumulated gradients and the updated teacher."""

import pytest
import torch

from tests.reference.golden import KeepGradients, assert_gradient_norms, assert_teacher
from tests.reference.image_steps import ImageSteps
from udass.uda.clip import Clip

STEPS = {
    'daformer': 'uda_step_daformer_mitb0',
    'mic': 'uda_step_mic_hrda_mitb0',
    'quad': 'uda_step_quadmix_daformer_mitb0',
}


def templates(steps):
    """The clips that the iteration before left for QuadMix."""
    golden, size = steps.golden, (2, *steps.size)

    def clip(domain, ignore, weights, confidence=None):
        frames = golden.image(f'step_quad/{domain}_template', (2, 3, *steps.size))[:, None]
        labels = golden.labels(f'step_quad/{domain}_template_label', size, block=32, ignore=ignore)
        return Clip(frames, labels[:, None], weights[:, None], confidence)

    confident = golden.uniform('step_quad/target_template_confident', size) > 0.3
    weights = golden.uniform('step_quad/target_template_weight', size)
    return clip('source', 0.02, torch.ones(size)), clip('target', 0, weights, confident.float()[:, None])


@pytest.fixture(
    scope='module', params=['daformer', *(pytest.param(name, marks=pytest.mark.slow) for name in ('mic', 'quad'))]
)
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
    names, norms = step.expected['grad_norm_names'], step.expected['grad_norms']
    assert_gradient_norms(step.adapter.student, names, norms, rel=5e-3)


def test_the_teacher_was_updated_before_it_labelled(step):
    assert_teacher(step.adapter.teacher, step.expected)
