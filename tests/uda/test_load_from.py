"""Starting from a checkpoint of another method, or of a network with other classes."""

import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from tests.engine.toys import toy_config, write_toy_data
from tests.uda.small import DAFORMER, MIC, QUADMIX, SEGMENTOR, build, domains
from udass.engine import UDARunner

CLASSIFIER = 'decode_head.conv_seg'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def networks():
    """A model of 4 classes, and the weights of one of 7."""
    head = dict(SEGMENTOR['decode_head'], num_classes=7)
    other = build(DAFORMER, dict(SEGMENTOR, decode_head=head))[0]
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    return build(DAFORMER)[0], {key: value for key, value in other.state_dict().items() if torch.is_tensor(value)}


def test_all_but_the_classifier_is_taken(networks):
    model, weights = networks
    before = {key: value.clone() for key, value in model.state_dict().items() if torch.is_tensor(value)}
    assert model.load_networks(weights, 'a.pth', [CLASSIFIER]) == ['student', 'teacher', 'imagenet']
    after = model.state_dict()
    for key, value in before.items():
        expected = value if f'{CLASSIFIER}.' in key else weights[key]
        assert torch.equal(after[key], expected), key
    assert any(f'teacher.{CLASSIFIER}.' in key for key in before)


def test_without_being_asked_nothing_is_left_out(networks):
    model, weights = networks
    with pytest.raises(ValueError, match=rf'2 of another shape: {CLASSIFIER}.weight \(7, 8, 1, 1\) instead of \(4, 8'):
        model.load_networks(weights, 'a.pth')


def test_what_is_named_must_exist_and_the_rest_must_fit(networks):
    model, weights = networks
    with pytest.raises(ValueError, match='load_from.skip names decode_head.conv_sge, which the student does not have'):
        model.load_networks(weights, 'a.pth', ['decode_head.conv_sge'])
    # The beginning of a name is no name.
    with pytest.raises(ValueError, match='load_from.skip names decode_head.conv, which'):
        model.load_networks(weights, 'a.pth', ['decode_head.conv'])
    del weights['student.backbone.layers.0.0.projection.bias']
    with pytest.raises(ValueError, match='1 missing: backbone.layers.0.0.projection.bias'):
        model.load_networks(weights, 'a.pth', [CLASSIFIER])


def test_the_runner_takes_a_file_or_a_file_with_what_to_skip(tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    config = toy_config(write_toy_data(tmp_path / 'data'), tmp_path / 'run', max_iters=1)
    config.load_from = dict(file='a.pth', skip=[CLASSIFIER])
    config.experiment_name = 'load_from_skip'
    runner = UDARunner.from_cfg(config)
    assert runner.skipped == (CLASSIFIER,) and runner.cfg.load_from.file == 'a.pth' and runner._load_from == 'a.pth'
    runner.model = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match='Conv2d is loaded as a whole'):
        runner.load_networks('a.pth')
    for wrong in (dict(skip=[]), dict(file='a.pth', leave=[]), dict(file='a.pth', skip=CLASSIFIER)):
        config.load_from = wrong
        with pytest.raises(ValueError, match='load_from is a file, or dict'):
            UDARunner.from_cfg(config)


def weights_of(model):
    return {key: value for key, value in model.state_dict().items() if isinstance(value, torch.Tensor)}


def test_quadmix_starts_from_a_checkpoint_of_mic():
    mic, optimizer = build(MIC, seed=7)
    for _ in range(3):
        mic.train_step(domains(), optimizer)
    with torch.no_grad():
        mic.teacher.decode_head.conv_seg.bias.fill_(3.0)
    quadmix, optimizer = build(QUADMIX, seed=8)
    random = quadmix.generator.get_state()
    assert quadmix.load_networks(mic.state_dict(), 'mic.pth') == ['student', 'teacher', 'imagenet']
    for key, value in weights_of(quadmix).items():
        assert torch.equal(value, mic.state_dict()[key]), key
    assert quadmix.iteration == 0 and quadmix.mixing.bank.source is None
    assert torch.equal(quadmix.generator.get_state(), random)
    quadmix.train_step(domains(), optimizer)
    assert (quadmix.teacher.decode_head.conv_seg.bias > 2).all(), 'the first update overwrote the loaded teacher'


def test_a_teacher_that_the_file_lacks_starts_as_the_student():
    source_only, optimizer = build({}, seed=7)
    source_only.train_step(domains(), optimizer)
    quadmix, _ = build(QUADMIX, seed=8)
    imagenet = {key: value.clone() for key, value in quadmix.imagenet.state_dict().items()}
    assert quadmix.load_networks(source_only.state_dict(), 'source.pth') == ['student']
    student = source_only.student.state_dict()
    assert all(torch.equal(value, student[key]) for key, value in quadmix.teacher.state_dict().items())
    assert all(torch.equal(value, imagenet[key]) for key, value in quadmix.imagenet.state_dict().items())
    assert quadmix.ema.steps == 0
    bare, _ = build(MIC)
    assert bare.load_networks(student, 'bare.pth') == ['student']


def test_networks_that_do_not_fit_are_named():
    quadmix, _ = build(QUADMIX)
    weights = weights_of(quadmix)
    with pytest.raises(ValueError, match=r'a.pth holds no student \(no key student.\*\): it has teacher, imagenet'):
        quadmix.load_networks({key: value for key, value in weights.items() if key[0] in 'ti'}, 'a.pth')
    weights['teacher.decode_head.conv_seg.bias'] = torch.zeros(7)
    with pytest.raises(ValueError, match=r'teacher of a.pth does not fit .*conv_seg.bias \(7,\) instead of \(4,\)'):
        quadmix.load_networks(weights, 'a.pth')
