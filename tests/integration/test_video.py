"""Training and testing on clips with flow, from the config alone."""

import pytest
import torch
from mmseg.registry import RUNNERS

from tests.integration.test_training import make_config


@pytest.mark.slow
@pytest.mark.parametrize('name', ['streets_video_source_only', 'streets_video_oracle', 'streets_video_quadmix'])
def test_clips_train_and_validate_with_the_frame_before(name, street_domains, tmp_path):
    config = make_config(name, street_domains, tmp_path / 'run', max_iters=2)
    config.train_cfg.update(val_interval=2, val_begin=1)
    for scheduler in config.param_scheduler:
        scheduler.end = min(scheduler.end, 2)
    runner = RUNNERS.build(config)
    shown = []
    forward = runner.model.student.forward
    runner.model.student.forward = lambda inputs, *args, **options: (
        shown.append(
            (
                runner.model.training,
                tuple(inputs.shape),
                {key: value for key, value in options.items() if key != 'mode'},
            )
        )
        or forward(inputs, *args, **options)
    )
    runner.train()
    for _, shape, options in shown:
        assert shape[1:3] == (2, 3), 'two frames'
        assert (
            options['flow'].shape == (shape[0], shape[1] - 1, 2, *shape[3:]) and torch.isfinite(options['flow']).all()
        )
    assert {training for training, _, _ in shown} == {True, False}
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100
    assert runner.model.student.fusion.weight.grad is None and not torch.equal(
        runner.model.student.fusion.weight, torch.nn.init.dirac_(torch.empty(19, 38, 1, 1))
    )
