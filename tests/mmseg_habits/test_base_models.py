"""Every base model of the installed MMSegmentation as a student: it takes a step, or is refused for a stated reason."""

from pathlib import Path

import mmseg
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmseg.models.backbones.resnet import Bottleneck, ResNet
from mmseg.registry import MODELS

from tests.uda.small import TEACHER, batch, unlabelled
from udass.engine.config import load_config, prepare_config

FOLDER = Path(mmseg.__file__).parent / '.mim' / 'configs' / '_base_' / 'models'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
# What the step is taken with; the labels of the tests have 4 classes.
CLASSES, SIZE = 4, (64, 64)
# Networks with a layer that wants more of an image.
SIZES = {'lraspp_m-v3-d8': (416, 416)}
# Networks with a weight per class.
OWN_CLASSES = {'cgnet': 19}
QUICK = ('bisenetv1_r18-d32', 'bisenetv2', 'cgnet', 'erfnet_fcn', 'fast_scnn', 'segformer_mit-b0')

# The configs that cannot be read, and why.
UNREAD = {'fpn_poolformer_s12': 'mmpretrain', 'upernet_convnext': 'mmpretrain'}
# The networks that cannot be built, and why.
COMPILED = 'Please install onedl-mmcv for .* ops'
UNBUILT = {
    'ccnet_r50-d8': COMPILED,
    'pointrend_r50': COMPILED,
    'psanet_r50-d8': COMPILED,
    # The base file leaves the words out that its classes are compared with.
    'san_vit-b16': "text_encoder required either 'dataset_name' or 'vocabulary'",
    # A network of depth, and the base file leaves its decoder out.
    'vpd_sd': "cannot be built: .*missing 1 required positional argument: 'decode_head'",
}
# The networks that learn from source labels alone, and the head for which they cannot learn from pseudo-labels.
SOURCE_ONLY = {'encnet_r50-d8': 'EncHead', 'stdc': 'STDCHead'}
REFUSED = {
    **UNBUILT,
    **{
        name: rf'\({head}\) computes its loss by itself, without the weights of pseudo-labels'
        for name, head in SOURCE_ONLY.items()
    },
}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture(autouse=True)
def fast_building(monkeypatch):
    """Start weights take most of the time of building large networks, and the blocks of a stage of ResNet-50 are
    alike: one of each."""
    monkeypatch.setattr(torch.Tensor, 'normal_', lambda tensor, mean=0, std=1, **options: tensor.uniform_(-std, std))
    monkeypatch.setitem(ResNet.arch_settings, 50, (Bottleneck, (1, 1, 1, 1)))


def student_of(name):
    """The model of a base file for the classes of the test, its transformer (if it has one) of four blocks."""
    config = Config.fromfile(FOLDER / f'{name}.py')
    config.model.pretrained = None
    wrapped = Config(dict(model=dict(student=config.model, num_classes=OWN_CLASSES.get(name, CLASSES))))
    prepare_config(wrapped)
    student = wrapped.model.student
    backbone = student.get('backbone', {})
    if backbone.get('type') in ('VisionTransformer', 'BEiT', 'MAE'):
        stages = backbone.get('out_indices', -1)
        backbone.update(
            num_layers=4, img_size=SIZE, out_indices=stages if isinstance(stages, int) else tuple(range(len(stages)))
        )
    if name == 'upernet_mae':
        # Its configs correct what the base file says of the channels.
        student.decode_head.in_channels, student.auxiliary_head.in_channels = [768] * 4, 768
    return student


def build(student, **components):
    torch.manual_seed(0)
    model = MODELS.build(dict(type='DomainAdapter', student=student, **components))
    model.train()
    return model, OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.01))


def assert_learns(model, log):
    """All losses are finite, and every head has learned: its parameters have a gradient that is not 0."""
    losses = {key: float(value) for key, value in log.items() if 'loss' in key}
    assert losses and all(value == value and abs(value) < 1e4 for value in losses.values()), losses
    heads = [module for name in ('decode_head', 'auxiliary_head') if (module := getattr(model.student, name, None))]
    for head in heads:
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


def step(name, model, optimizer):
    """One step; the gradients stay."""
    optimizer.zero_grad = lambda: None
    size = SIZES.get(name, SIZE)
    data = dict(source=batch(2, size), target=unlabelled(2, size))
    return model.train_step(data, optimizer)


STEPPED = [name for name in NAMES if name not in UNREAD | REFUSED]


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in STEPPED]
)
def test_base_model_takes_a_step_with_pseudo_labels(name):
    model, optimizer = build(student_of(name), mixing=dict(type='ClassMix'), **TEACHER)
    log = step(name, model, optimizer)
    assert_learns(model, log)
    # Auxiliary heads learn from both passes, as the decoder does.
    kinds = {key.split('.', 1)[1] for key in log if key.startswith('source.')}
    assert kinds == {key.split('.', 1)[1] for key in log if key.startswith('mix.')}
    assert any(key.startswith('aux') for key in kinds) == model.student.with_auxiliary_head


@pytest.mark.slow
@pytest.mark.parametrize('name', SOURCE_ONLY)
def test_base_model_takes_a_step_on_source_labels(name):
    model, optimizer = build(student_of(name))
    assert_learns(model, step(name, model, optimizer))


@pytest.mark.parametrize('name', REFUSED)
def test_base_model_that_cannot_is_refused_in_one_sentence_when_built(name):
    with pytest.raises(ValueError, match=REFUSED[name]) as error:
        build(student_of(name), mixing=dict(type='ClassMix'), **TEACHER)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize('name', UNREAD)
def test_base_model_of_a_missing_package_names_it(name):
    with pytest.raises(ValueError, match=f"No module named '{UNREAD[name]}'.*install its package") as error:
        load_config(FOLDER / f'{name}.py')
    assert '\n' not in str(error.value)


def test_the_lists_name_base_models():
    assert set(REFUSED) | set(UNREAD) | set(SIZES) | set(QUICK) <= set(NAMES)
    assert len(NAMES) >= 50


@pytest.mark.parametrize('name', [name for name in NAMES if name not in UNREAD])
def test_base_model_passes_the_check_of_configs(name):
    load_config(FOLDER / f'{name}.py')


@pytest.mark.slow
def test_complete_configs_of_mmseg_pass_the_check_of_configs():
    """Every twentieth of them; what is refused names a package that is not installed."""
    paths = sorted(FOLDER.parents[1].glob('*/*.py'))[::20]
    assert len(paths) > 25
    for path in paths:
        try:
            load_config(path)
        except ValueError as error:
            assert 'mmpretrain' in str(error) or 'mmdet' in str(error), error
