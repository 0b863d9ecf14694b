from pathlib import Path

import pytest
from mmseg.registry import MODELS

from tests.engine.toys import toy_config
from udass.engine.config import check_components, explain_type_error, load_config


@pytest.fixture
def config_file(toy_root: Path, tmp_path: Path) -> Path:
    config = toy_config(toy_root, tmp_path / 'run')
    config.crop_size = 5
    config.dump(tmp_path / 'toy.py')
    return tmp_path / 'toy.py'


@pytest.mark.parametrize(
    'option, value',
    [
        ('train_cfg.max_iters', 3),
        ('model.width', 9),
        ('custom_hooks', [{'type': 'PanelHook'}]),
        ('train_dataloader.source.pin_memory', True),
        ('train_dataloader.source.dataset.pipeline.2.prob', 0.1),
        ('train_dataloader.source.dataset.indices', 4),
        ('train_cfg.source_sampling.temperature', 0.1),
        ('randomness.deterministic', True),
        ('optim_wrapper.clip_grad.max_norm', 1),
        ('work_dir', 'elsewhere'),
        ('optim_wrapper.paramwise_cfg.norm_decay_mult', 0),
        ('param_scheduler.0.eta_min', 0.1),
        ('env_cfg.mp_cfg.mp_start_method', 'spawn'),
    ],
)
def test_options_that_exist_or_that_a_component_takes_are_set(config_file, option, value):
    node = load_config(config_file, {option: value})
    for key in option.split('.'):
        node = node[int(key)] if key.isdigit() else node[key]
    assert node == value


@pytest.mark.parametrize(
    'option, message',
    [
        ('train_cfg.max_iter', 'train_cfg.max_iter does not exist.*Did you mean max_iters'),
        ('modle.width', 'modle does not exist.*Did you mean model'),
        ('model.widht', 'model.widht does not exist: the keys there are seed, type, width'),
        ('custom_hooks.0.interval', 'custom_hooks.0 does not exist'),
        ('model.width.bias', 'model.width is 4, which has no keys|model.width.bias'),
        ('train_dataloader.source.dataset.pipelin', 'Did you mean pipeline'),
        ('val_evaluator.iou_metrics', 'ignore_index'),
        ('crop_size', 'crop_size is a variable of the config files'),
    ],
)
def test_options_that_do_not_exist_are_named_with_the_valid_ones(config_file, option, message):
    if option == 'model.width.bias':
        config_file.write_text(config_file.read_text().replace("type='ToyAdapter'", "type='ToyAdapter', width=4"))
    with pytest.raises(ValueError, match=message):
        load_config(config_file, {option: 1})


PUBLISHED = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    'option',
    [
        'optim_wrapper.student.optimizer.lr',
        'optim_wrapper.adaptation_loss.clip_grad.max_norm',
        'model.adaptation_loss.channels',
        'param_scheduler.adaptation_loss.0.power',
        'model.student.decode_head.dilations',
    ],
)
def test_options_of_a_method_with_two_optimizers(option):
    node = load_config(PUBLISHED / 'gta2cs_advseg.py', {option: 7})
    for key in option.split('.'):
        node = node[int(key)] if key.isdigit() else node[key]
    assert node == 7


@pytest.mark.parametrize(
    ('config', 'option', 'message'),
    [
        ('gta2cs_advseg', 'optim_wrapper.optimizer.lr', 'the keys there are accumulative_counts, adaptation_loss, con'),
        ('gta2cs_advseg', 'optim_wrapper.student.lr', 'the keys there are accumulative_counts, clip_grad, optimizer'),
        ('gta2cs_mic', 'optim_wrapper.lr', 'the keys there are accumulative_counts, clip_grad, optimizer'),
        ('gta2cs_mic', 'optim_wrapper.student.optimizer.lr', 'the keys there are accumulative_counts, clip_grad, opt'),
        ('gta2cs_mic', 'model.masking.modes', 'block_size, mode, multiple, ratio, type. Did you mean mode'),
    ],
)
def test_options_of_optimizers_that_do_not_exist(config, option, message):
    with pytest.raises(ValueError, match=message):
        load_config(PUBLISHED / f'{config}.py', {option: 1})


def test_a_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match='configs/nothing.py does not exist'):
        load_config('configs/nothing.py')


def test_arguments_in_the_file_that_a_component_cannot_take_are_named():
    with pytest.raises(
        ValueError,
        match=r'hooks.0.intervall does not exist: PanelHook takes interval, max_images. '
        'Did you mean interval',
    ):
        check_components({'hooks': [{'type': 'PanelHook', 'intervall': 3}]})
    check_components({'hooks': [{'type': 'PanelHook', 'interval': 3, 'priority': 'LOW'}]})
    with pytest.raises(ValueError, match=r'hooks.0.type is PanelHok, .* Did you mean PanelHook'):
        check_components({'hooks': [{'type': 'PanelHok', 'a': 1}]})


def test_an_argument_that_a_base_class_refuses_is_traced_to_its_key():
    head = {'type': 'FCNHead', 'in_channels': 4, 'channels': 4, 'num_classes': 3, 'chanels': 5}
    with pytest.raises(TypeError) as error:
        MODELS.build(head)
    message = explain_type_error(error.value, {'model': {'type': 'ToyAdapter', 'head': head}})
    assert message.startswith('model.head.chanels does not exist: FCNHead takes')
    assert message.endswith('Did you mean channels?')
    assert explain_type_error(TypeError('unsupported operand'), {}) is None


def test_a_list_of_loaders_to_test_on_is_refused(config_file):
    config_file.write_text(config_file.read_text() + '\ntest_dataloader = [test_dataloader, test_dataloader]\n')
    with pytest.raises(ValueError, match="test_dataloader is a list.*ConcatDataset', names"):
        load_config(config_file)
