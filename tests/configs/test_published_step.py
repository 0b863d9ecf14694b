"""The published recipes train and validate on files as published; only networks, crops and images are smaller."""

import math
import re

import pytest
import torch
from mmseg.registry import RUNNERS

from tests.configs.recipes import distinct, parts
from tests.configs.small import VIDEO, small_config, write_data

# Method -> what the first and the second iteration must train on: the passes of the recipe, and its further losses.
TEACHER = {'source', 'mix'}
DISTILLED = {'distilled_source', 'distilled_target'}
PASSES = {
    'source_only': ({'source'}, {'source'}),
    'minent': ({'source', 'target'}, {'source', 'target'}),
    'advseg': ({'source', 'target', 'discriminator'}, {'source', 'target', 'discriminator'}),
    'dacs': (TEACHER, TEACHER),
    'daformer': (TEACHER, TEACHER),
    'hrda': (TEACHER, TEACHER),
    'mic': (TEACHER | {'masked'}, TEACHER | {'masked'}),
    # The first iteration has no template yet.
    'quadmix': (TEACHER | {'masked'}, {'source', 'tss', 'tst', 'masked'}),
    'vfmuda': (TEACHER | {'masked'},) * 2,
    'vfmudapp': (TEACHER | {'masked'} | DISTILLED,) * 2,
    'quadmix_vfmuda': (TEACHER | {'masked'}, {'source', 'tss', 'tst', 'masked'}),
    'quadmix_vfmudapp': (TEACHER | {'masked'} | DISTILLED, {'source', 'tss', 'tst', 'masked'} | DISTILLED),
}
VIDEO_PASSES = {
    'tps': ({'source', 'cross_frame'},) * 2,
    'quadmix': ({'source', 'cross_frame', 'mix'}, {'source', 'cross_frame', 'tss', 'tst'}),
    'quadmix_vfmuda': (
        {'source', 'cross_frame', 'mix', 'masked'},
        {'source', 'cross_frame', 'tss', 'tst', 'masked'},
    ),
}
DISTANCE = {'daformer', 'hrda', 'mic', 'quadmix'}
# What names of configs add to their method: a network, a protocol.
VARIANTS = ('_rider_ignored', '_cnn', '_dinov2', '_dinov3', '_accel', '_daformer')
ALIGNMENT = {
    'minent': {'target.loss_entropy'},
    'advseg': {'target.loss_adversarial', 'discriminator.source', 'discriminator.target'},
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp('published'))


def train(config):
    """Train to the end; the runner, the log of each iteration and the student's weights at the start."""
    runner = RUNNERS.build(config)
    logs, start = [], {}
    step = runner.model.train_step

    def recorded(data, optim_wrapper):
        if not logs:
            start.update({name: value.detach().clone() for name, value in runner.model.student.named_parameters()})
        log = step(data, optim_wrapper)
        logs.append({key: value.item() for key, value in log.items()})
        return log

    runner.model.train_step = recorded
    runner.train()
    return runner, logs, start


def stepped():
    """One of the configs whose networks differ only in size or classes; test_build.py builds all of them."""
    found = {}
    for name in distinct():
        found[tuple(part for part in parts(name)[1:] if re.search('/models/(?!.*_(12|15|vitl)$)|/uda/', part))] = name
    return sorted(found.values())


@pytest.mark.slow
# Other data sets are read in test_datasets.py.
@pytest.mark.parametrize('name', stepped())
def test_config_trains_and_validates(name, data, tmp_path):
    config = small_config(name, data, tmp_path / name)
    runner, logs, start = train(config)
    method = name.split('_', 1)[1]
    for variant in VARIANTS:
        method = method.removesuffix(variant)
    expected = (VIDEO_PASSES if name in VIDEO and method in VIDEO_PASSES else PASSES)[method]
    assert len(logs) == 2
    for log, passes in zip(logs, expected, strict=True):
        assert all(math.isfinite(value) for value in log.values()), log
        assert {key.split('.')[0] for key in log if '.' in key} == passes
        assert ('source.decode.hr.loss_ce' in log) == (config.model.student.decode_head.type == 'HRDAHead')
        assert ('source.loss_feature_distance' in log) == (method in DISTANCE and config.model.type == 'DomainAdapter')
        assert ALIGNMENT.get(method, set()) <= log.keys()
    for name, value in runner.model.student.named_parameters():
        # Gradients are gone by now; one that was not finite has left its mark.
        assert torch.isfinite(value).all(), name
    changed = {name for name, value in runner.model.student.named_parameters() if not torch.equal(value, start[name])}
    assert any('backbone' in name for name in changed) and any('decode_head' in name for name in changed)
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100


@pytest.mark.slow
@pytest.mark.parametrize('name', ['viper2csseq_mic', 'viper2csseq_hrda_accel_cnn', 'synseq2csseq_tps'])
def test_image_and_video_networks_are_tested_for_consistency(name, data, tmp_path):
    config = small_config(name, data, tmp_path / name)
    for flow in (config.test_evaluator[1].flow, config.test_evaluator[1].backward):
        flow.update(folder=str(tmp_path / 'flow'), root=str(data))
    metrics = RUNNERS.build(config).test()
    # The labelled frame and the one before it.
    assert 0 <= metrics['mIoU'] <= 100 and 0 <= metrics['TC'] <= 100 and 0 < metrics['TC_compared'] <= 100
