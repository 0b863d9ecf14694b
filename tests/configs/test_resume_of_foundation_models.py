"""Trainings of foundation models are resumed bit for bit: networks, teacher, distillation, templates, random draws."""

import pytest
import torch
from mmseg.registry import RUNNERS

from tests.configs.small import small_config, write_data


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('published'))


def train(name, data, work_dir, checkpoint=None):
    config = small_config(name, data, work_dir)
    config.optim_wrapper.accumulative_counts = 2
    config.default_hooks.checkpoint.interval = 1
    config.train_cfg.val_interval = 10
    if checkpoint is not None:
        config.update(load_from=str(checkpoint), resume=True)
    RUNNERS.build(config).train()
    return torch.load(work_dir / 'iter_2.pth', weights_only=True)


def tensors(node, path=''):
    """Every tensor of nested containers by its path."""
    if isinstance(node, torch.Tensor):
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from tensors(value, f'{path}.{key}')


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', ['gta2cs_vfmuda', 'gta2cs_vfmuda_dinov3', 'gta2cs_quadmix_vfmudapp', 'synseq2csseq_quadmix_vfmuda']
)
def test_resumed_states_are_equal(name, data, tmp_path):
    whole = train(name, data, tmp_path / 'whole')
    resumed = train(name, data, tmp_path / 'resumed', tmp_path / 'whole' / 'iter_1.pth')
    for part in ('state_dict', 'optimizer'):
        first, second = (dict(tensors(checkpoint[part])) for checkpoint in (whole, resumed))
        assert first.keys() == second.keys() and len(first) > 10
        assert [key for key, value in first.items() if not torch.equal(value, second[key])] == []
    if 'vfmudapp' in name:
        assert not any('frozen.' in key for key in whole['state_dict'])
        # The head of the distillation is trained by the optimizer of the student.
        assert len(whole['optimizer']['state']) > len([key for key in whole['state_dict'] if 'decode_head' in key])
