"""Settings as users of MMSegmentation write them, and their mistakes: each ends with one message."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import MODELS, RUNNERS

from tests.cli.calls import parse
from tests.engine.toys import toy_config, write_toy_data
from tests.uda.small import TEACHER, batch, unlabelled
from udass.cli import errors_as_messages
from udass.cli.main import main
from udass.engine.config import check_components, load_config, prepare_config
from udass.engine.data_loader import check_class_count
from udass.engine.optim import check_wrappers
from udass.engine.runner import UDARunner

PROJECT = Path(__file__).parents[2]
SMALL = PROJECT / 'configs' / 'streets_quadmix.py'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def message_of(main):
    """What a tool says of an error."""
    with pytest.raises(SystemExit) as stop, errors_as_messages():
        main()
    return str(stop.value.code)


# ---------------------------------------------------------------- what is accepted


@pytest.mark.parametrize(
    'norm',
    [
        dict(type='BN', requires_grad=True),
        dict(type='SyncBN', requires_grad=False),
        dict(type='GN', num_groups=2, requires_grad=True),
    ],
)
def test_norm_cfg_with_requires_grad(norm):
    check_components(dict(model=dict(type='FCNHead', norm_cfg=norm)))
    head = MODELS.build(dict(type='FCNHead', in_channels=4, channels=4, num_classes=3, norm_cfg=norm))
    grads = {parameter.requires_grad for parameter in head.convs[0].norm.parameters()}
    assert grads == {norm['requires_grad']}


def test_a_mistake_in_norm_cfg_is_still_named():
    with pytest.raises(ValueError, match='model.norm_cfg.requires_grads does not exist'):
        check_components(dict(model=dict(type='FCNHead', norm_cfg=dict(type='BN', requires_grads=True))))
    with pytest.raises(ValueError, match='model.requires_grad does not exist'):
        check_components(dict(model=dict(type='PhotometricChange', requires_grad=True)))


def test_transforms_of_albumentations_are_left_to_it():
    inner = dict(type='OneOf', transforms=[dict(type='HorizontalFlip', p=0.5), dict(type='Blur')], p=0.5)
    check_components(dict(pipeline=[dict(type='Albu', transforms=[inner, dict(type='CLAHE')])]))
    with pytest.raises(ValueError, match='pipeline.0.keymaps does not exist: Albu takes'):
        check_components(dict(pipeline=[dict(type='Albu', transforms=[inner], keymaps={})]))


def test_variables_that_nothing_reads_are_not_checked(tmp_path):
    """Configs of MMSegmentation carry settings of older versions along."""
    path = tmp_path / 'a.py'
    path.write_text(f"_base_ = ['{SMALL}']\nrunner = dict(type='IterBasedRunner')\n")
    assert load_config(path).runner.type == 'IterBasedRunner'


def test_paths_in_a_config_are_strings(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text(
        f"_base_ = ['{SMALL}']\nfrom pathlib import Path\nroot = Path('/data')\n"
        "work_dir = Path('runs') / 'a'\n"
        "train_dataloader = dict(source=dict(dataset=dict(data_root=root / 'streets')))\n"
        "test_evaluator = dict(type='ClassIoUMetric', output_dir=Path('ids'))\n"
    )
    config = load_config(path)
    assert config.train_dataloader.source.dataset.data_root == '/data/streets' and config.work_dir == 'runs/a'
    assert 'PosixPath' not in config.pretty_text
    # What mmengine writes into checkpoints can be read again.
    assert Config.fromstring(config.pretty_text, '.py').test_evaluator.output_dir == 'ids'


# ---------------------------------------------------------------- the number of classes

HEAD = dict(type='DAFormerHead', in_channels=[8] * 4, num_classes=19)


@pytest.mark.parametrize(
    'segmentor',
    [
        dict(decode_head=HEAD, auxiliary_head=[dict(HEAD), dict(type='FCNHead', num_classes=19, out_channels=19)]),
        dict(decode_head=[dict(HEAD), dict(HEAD)]),
        dict(decode_head=dict(type='HRDAHead', head=HEAD, scale_attention=dict(HEAD))),
    ],
)
def test_one_setting_changes_the_classes_of_all_heads(segmentor):
    config = Config(dict(model=dict(type='DomainAdapter', student=segmentor, num_classes=3)))
    prepare_config(config)
    text = config.pretty_text
    assert '19' not in text and 'num_classes' not in config.model
    assert text.count('num_classes=3') == str(segmentor).count('num_classes')


def test_heads_of_edges_and_shared_attention_keep_their_number():
    edges = dict(type='STDCHead', num_classes=2)
    shared = dict(type='HRDAHead', head=HEAD, scale_attention=dict(HEAD, num_classes=1))
    config = Config(dict(model=dict(student=dict(decode_head=shared, auxiliary_head=[edges]), num_classes=3)))
    prepare_config(config)
    student = config.model.student
    assert student.auxiliary_head[0].num_classes == 2 and student.decode_head.scale_attention.num_classes == 1
    assert student.decode_head.head.num_classes == 3


@pytest.mark.parametrize('number', [1, 0, 2.5, '3'])
def test_a_number_of_classes_that_makes_no_sense_is_refused(number):
    with pytest.raises(ValueError, match='model.num_classes must be a number of classes, at least 2'):
        prepare_config(Config(dict(model=dict(student=dict(decode_head=HEAD), num_classes=number))))


def test_the_number_of_classes_is_an_option_and_what_the_check_names():
    config = load_config(SMALL, {'model.num_classes': 11})
    assert config.model.student.decode_head.num_classes == 11
    config.model.student.backbone.checkpoint = None
    model = MODELS.build(config.model)
    assert model.student_classes == 11
    data = torch.utils.data.Dataset()
    data.metainfo = dict(classes=('a', 'b', 'c'))
    with pytest.raises(ValueError, match='has num_classes=11, .* has 3 classes .*Set model.num_classes=3'):
        check_class_count(model, data)


# ---------------------------------------------------------------- one channel, in a step


def test_a_head_of_one_channel_learns_both_classes_from_pseudo_labels():
    """Where the teacher's logit is positive, the label is class 1, with the confidence of the sigmoid."""
    from udass.uda import ConfidencePseudoLabels

    logits = torch.tensor([[[[-4.0, -0.1, 0.1, 4.0]]]])
    label = ConfidencePseudoLabels(threshold=0.9)(logits)
    assert label.labels.tolist() == [[[0, 0, 1, 1]]]
    torch.testing.assert_close(label.confidence, torch.sigmoid(logits.abs())[:, 0])
    assert label.weights.unique().tolist() == [0.5]


@pytest.mark.parametrize(
    'components',
    [
        dict(**TEACHER, mixing=dict(type='ClassMix')),
        dict(adaptation_loss=dict(type='EntropyMinimization')),
        dict(adaptation_loss=dict(type='AdversarialAlignment', channels=4)),
    ],
)
def test_methods_work_with_one_channel(components):
    from tests.uda.small import SEGMENTOR, build

    head = dict(SEGMENTOR['decode_head'], num_classes=4)
    head.update(
        type='WeightedSegformerHead',
        in_channels=[8] * 4,
        in_index=[0, 1, 2, 3],
        num_classes=2,
        out_channels=1,
        threshold=0.5,
        loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True),
    )
    for name in ('embed_channels', 'dilations'):
        del head[name]
    model, optimizer = build(components, dict(SEGMENTOR, decode_head=head))
    data = dict(source=batch(2), target=unlabelled(2))
    for sample in data['source']['data_samples']:
        sample.gt_sem_seg.data = sample.gt_sem_seg.data % 2
    log = model.train_step(data, optimizer)
    assert all(torch.isfinite(value).all() for value in log.values())
    model.eval()
    prediction = model(torch.zeros(1, 3, 64, 64), mode='predict')[0].pred_sem_seg.data
    assert set(prediction.unique().tolist()) <= {0, 1}


# ---------------------------------------------------------------- mistakes


def test_an_unknown_backbone_is_named_with_what_is_near():
    with pytest.raises(ValueError, match="no network 'tf_efficientnet_lit0'. Did you mean tf_efficientnet_lite0"):
        MODELS.build(dict(type='TimmBackbone', name='tf_efficientnet_lit0'))
    with pytest.raises(ValueError, match="no network 'vit_base_patch14_dino2'. Did you mean"):
        MODELS.build(dict(type='TimmViT', name='vit_base_patch14_dino2'))


def test_the_amp_wrapper_of_mmengine_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    wrapper = dict(type='AmpOptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    for config in (wrapper, dict(student=wrapper, constructor='ChildOptimWrapperConstructor')):
        with pytest.raises(ValueError, match="'AmpOptimWrapper' works on GPUs only.*amp='bf16'"):
            check_wrappers(config)


def test_amp_without_a_value_is_the_default():
    assert parse('train', 'a.py', '--amp').amp == 'bf16'
    assert parse('train', 'a.py', '--amp', 'fp16').amp == 'fp16'
    assert parse('train', 'a.py').amp is None


def test_a_missing_package_is_named(tmp_path):
    path = tmp_path / 'a.py'
    path.write_text(f"_base_ = ['{SMALL}']\ncustom_imports = dict(imports=['no_such_package.models'])\n")
    message = message_of(lambda: load_config(path))
    assert "No module named 'no_such_package'" in message and 'install its package' in message
    assert message.count('\n') == 1
    with pytest.raises(ValueError, match='PoolFormer is a component of mmpretrain: install it'):
        check_components(dict(model=dict(type='mmpretrain.PoolFormer')))


def test_errors_of_any_kind_end_in_one_line_unless_asked_for(monkeypatch):
    def fail():
        raise AssertionError('an assertion of a library')

    assert message_of(fail).startswith('error: AssertionError: an assertion of a library\n(--debug')
    monkeypatch.setenv('UDASS_DEBUG', '1')
    with pytest.raises(AssertionError), errors_as_messages():
        fail()


def test_debug_shows_where_it_happened(tmp_path, monkeypatch):
    # Undone afterwards, whatever the command sets.
    monkeypatch.setenv('UDASS_DEBUG', '0')
    message = message_of(lambda: main(['train', str(tmp_path / 'none.py')]))
    assert 'does not exist' in message and 'Traceback' not in message
    with pytest.raises(FileNotFoundError, match='does not exist'):
        main(['train', str(tmp_path / 'none.py'), '--debug'])


# ---------------------------------------------------------------- the runner of mmengine


@pytest.fixture(scope='module')
def toys(tmp_path_factory):
    return write_toy_data(tmp_path_factory.mktemp('toys'))


def test_runner_from_cfg_says_which_runner_to_take(toys, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    config = toy_config(toys, tmp_path / 'run', max_iters=1)
    with pytest.raises(ValueError, match='UDARunner.from_cfg'):
        Runner.from_cfg(config).train()


@pytest.mark.parametrize('build', [UDARunner.from_cfg, RUNNERS.build])
def test_our_runner_trains_from_a_config(toys, tmp_path, monkeypatch, build):
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    config = toy_config(toys, tmp_path / 'run', max_iters=1)
    build(config).train()
    assert (tmp_path / 'run' / 'iter_1.pth').is_file()
