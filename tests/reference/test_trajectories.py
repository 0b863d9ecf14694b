"""Ten iterations of training against the reference's, with the optimizer, schedule and teacher of a real run.

Both sides are float64. In float32 rounding grows from iteration to iteration, and a difference of method could hide.
"""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS

from tests.reference.image_steps import ImageSteps
from tests.reference.networks import ROOT
from udass.models.checkpoints import to_reference

pytestmark = pytest.mark.slow
TRAJECTORIES = {
    'daformer': 'trajectory_daformer_mitb0',
    'mic': 'trajectory_mic_hrda_mitb0',
    'quad': 'trajectory_quadmix_daformer_mitb0',
}
NETWORKS = ('student', 'teacher')
# Rows at the top and the bottom whose pseudo-labels do not count; MIC's file marks single pixels.
MARGINS = {'daformer': (4, 24), 'mic': None, 'quad': (4, 24)}


class Trajectory(ImageSteps):
    """A run of as many iterations as the golden file has.

    Attributes:
        start: the networks' parameters before it, by the reference's names.
        logs: losses of each iteration.
        rates: learning rates of backbone and decoder in each iteration.
    """

    def __init__(self, method):
        super().__init__(method, TRAJECTORIES[method], teacher='model.', dtype=torch.float64)
        self.start = {name: self.parameters(name) for name in NETWORKS}
        self.logs, self.rates = [], []
        optimizer, schedulers = self.optimizer()
        groups = {id(value): group for group in optimizer.param_groups for value in group['params']}
        for iteration in range(int(self.expected['steps'])):
            self.rates.append(
                [
                    {groups[id(value)]['lr'] for value in getattr(self.adapter.student, part).parameters()}
                    for part in ('backbone', 'decode_head')
                ]
            )
            self.logs.append(self.iterate(iteration, optimizer))
            for scheduler in schedulers:
                scheduler.step()

    def optimizer(self):
        """Optimizer and schedules as the config of the published runs has them, with the numbers of the golden file."""
        config = Config.fromfile(ROOT / 'configs' / '_base_' / 'schedules' / 'adamw_40k_mit.py')
        config.optim_wrapper.optimizer.lr = float(self.expected['base_lr'])
        warm_up, decay = config.param_scheduler
        warm_up.end = int(self.expected['warmup_iters']) + 1
        decay.end = int(self.expected['steps']) + 1
        optimizer = build_optim_wrapper(self.adapter, config.optim_wrapper)
        return optimizer, [PARAM_SCHEDULERS.build(dict(entry, optimizer=optimizer)) for entry in (warm_up, decay)]

    def iterate(self, iteration, optimizer):
        """The losses of one `train_step`."""
        drawn = {
            key: self.expected[key][iteration]
            for key in ('source_classes', 'target_classes', 'block_mask')
            if key in self.expected
        }
        boxes = self.boxes[iteration] if self.method == 'mic' else None
        data = self.data(f'traj_{self.method}', str(iteration), MARGINS[self.method])
        with self.choices(drawn['source_classes'], drawn.get('target_classes'), drawn.get('block_mask'), boxes):
            log = self.adapter.train_step(data, optimizer)
        return {key: value.item() for key, value in log.items() if key not in ('loss', 'confidence')}

    def parameters(self, name):
        """Copies of a network's parameters, by the reference's names."""
        parameters = to_reference(dict(getattr(self.adapter, name).named_parameters()))
        return {key: value.detach().clone() for key, value in parameters.items()}


@pytest.fixture(scope='module', params=TRAJECTORIES)
def trajectory(request):
    return Trajectory(request.param)


def test_losses(trajectory):
    stored = trajectory.losses()
    for iteration, log in enumerate(trajectory.logs):
        # What is nan is the loss of a pass that the iteration does not have.
        expected = {name: value[iteration] for name, value in stored.items() if not np.isnan(value[iteration])}
        assert log == pytest.approx(expected, rel=1e-9), iteration


def test_rates(trajectory):
    for found, expected in zip(trajectory.rates, trajectory.expected['lr'].tolist(), strict=True):
        assert all(len(rates) == 1 for rates in found), 'a part has one rate'
        assert [rates.copy().pop() for rates in found] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize('name', NETWORKS)
@torch.no_grad()
def test_last_logits(trajectory, name):
    network = getattr(trajectory.adapter, name).eval()
    logits = network.encode_decode(
        trajectory.images(f'traj_{trajectory.method}/test'), [dict(img_shape=trajectory.size)] * 2
    )[:, :, ::4, ::4]
    expected = torch.from_numpy(trajectory.expected[f'{name}_logits'])
    # They are stored in float32.
    assert logits.shape == expected.shape
    assert (logits - expected).abs().max() <= 1e-6 * expected.abs().max()


@pytest.mark.parametrize('name', NETWORKS)
def test_last_parameters(trajectory, name):
    """Their norms, and how far each has moved."""
    parameters, start = trajectory.parameters(name), trajectory.start[name]
    names = trajectory.expected[f'{name}_names'].tolist()
    assert parameters.keys() == set(names)
    norms = [parameters[key].norm().item() for key in names]
    assert norms == pytest.approx(trajectory.expected[f'{name}_norms'].tolist(), rel=1e-9)
    moves = [(parameters[key] - start[key]).norm().item() for key in names]
    assert moves == pytest.approx(trajectory.expected[f'{name}_moves'].tolist(), rel=1e-6, abs=1e-9)
