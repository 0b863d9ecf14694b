"""Training and testing on clips with flow, from the config alone."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import RUNNERS

from udass.streets import write_streets

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.slow
@pytest.mark.parametrize('name', ['streets_video_source_only', 'streets_video_oracle', 'streets_video_quadmix'])
def test_clips_train_and_validate_with_the_frame_before(name, tmp_path):
    write_streets(
        tmp_path,
        size=(192, 384),
        workers=1,
        counts=dict(game=dict(train=0)),
        clip_counts=dict(game=dict(train=1, val=1), camera=dict(train=1, val=1)),
    )
    config = Config.fromfile(CONFIGS / f'{name}.py')
    for loader in (*config.train_dataloader.values(), config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = str(tmp_path)
    config.train_cfg.update(max_iters=2, val_interval=2)
    for scheduler in config.param_scheduler:
        scheduler.end = min(scheduler.end, 2)
    config.default_hooks.logger.interval = 1
    config.work_dir = str(tmp_path / 'run')
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
