"""Names of earlier versions in configs, and a checkpoint that an earlier version wrote.

``data/adversarial_quadmix_iter_3.pth.gz`` was written after 3 of 6 iterations by the code before ``alignment``,
``own_share`` and others were renamed; ``data/adversarial_quadmix_continued.json`` has what that code made of it in
the other three.
"""

import gzip
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from tests.engine.toys import build_runner, toy_config, write_toy_data
from tests.uda.small import SEGMENTOR, TEACHER
from udass.engine.config import apply_options, component_classes, prepare_config
from udass.engine.renamed import RENAMED_KEYS, RENAMED_TYPES, with_new_names
from udass.io.settings import parse_settings

DATA = Path(__file__).parent / 'data'


class Losses(Hook):
    """Keeps what each training step returns."""

    def __init__(self) -> None:
        self.found = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.found.append({name: float(value) for name, value in outputs.items()})


def adversarial_quadmix(data: Path, work_dir: Path) -> Config:
    config = toy_config(data, work_dir)
    backbone = dict(SEGMENTOR['backbone'], embed_dims=4)
    head = dict(type='DAFormerHead', in_channels=[4] * 4, num_classes=3, embed_channels=4, channels=4, dilations=(1,))
    config.model = dict(
        type='DomainAdapter',
        student=dict(SEGMENTOR, backbone=backbone, decode_head=dict(head, dropout_ratio=0.3)),
        **TEACHER,
        mixing=dict(type='QuadMix'),
        masking=dict(type='BlockMasking', block_size=8),
        photometric=dict(type='PhotometricChange'),
        feature_mixing=dict(type='FeatureMixing', mix_ratio=0.6),
        adaptation_loss=dict(type='AdversarialAlignment', channels=2),
    )
    config.optim_wrapper = dict(
        constructor='ChildOptimWrapperConstructor',
        student=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9)),
        adaptation_loss=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
    )
    poly = dict(type='PolyLR', power=0.9, begin=0, end=6, by_epoch=False)
    config.param_scheduler = dict(student=[poly], adaptation_loss=[poly])
    config.train_dataloader.target.dataset.pipeline.pop(1)
    return config


@pytest.fixture(scope='module')
def old_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('old') / 'iter_3.pth'
    path.write_bytes(gzip.decompress((DATA / 'adversarial_quadmix_iter_3.pth.gz').read_bytes()))
    return path


def test_a_checkpoint_of_before_the_renaming_resumes_and_tests_with_equal_numbers(tmp_path, old_checkpoint):
    expected = json.loads((DATA / 'adversarial_quadmix_continued.json').read_text())
    config = adversarial_quadmix(write_toy_data(tmp_path / 'data', size=32), tmp_path / 'run')
    runner = build_runner(config, resume=True, load_from=str(old_checkpoint))
    losses = Losses()
    runner.register_hook(losses)
    model = runner.train()
    assert losses.found == [pytest.approx(values, rel=1e-5) for values in expected['losses']]
    sums = {key: float(value.double().sum()) for key, value in model.state_dict().items() if torch.is_tensor(value)}
    new_names = {key.replace('alignment.', 'adaptation_loss.'): value for key, value in expected['weights'].items()}
    assert sums == pytest.approx(new_names, rel=1e-5, abs=1e-6)
    assert runner.test() == pytest.approx(expected['miou'])
    # The rates of the discriminator are logged on under the new name alone.
    logged = [key for key in runner.message_hub.log_scalars if key.endswith('.lr')]
    assert sorted(logged) == ['train/adaptation_loss.lr', 'train/student.lr']


def test_a_stored_config_is_translated(old_checkpoint):
    text = torch.load(old_checkpoint, weights_only=True)['meta']['cfg']
    settings = with_new_names(parse_settings(text, old_checkpoint))
    assert settings['model']['adaptation_loss'] == dict(channels=2, type='AdversarialAlignment')
    assert settings['model']['feature_mixing'] == dict(mix_ratio=0.6, type='FeatureMixing')
    assert list(settings['param_scheduler']) == ['adaptation_loss', 'student']
    assert with_new_names(parse_settings("x = [dict(type='PictureFolder')]", 'x.py')) == {
        'x': [{'type': 'ImageFolder'}]
    }


@pytest.mark.parametrize(('old', 'new'), RENAMED_TYPES.items())
def test_an_old_type_in_a_config_names_the_new_one(old, new):
    assert component_classes(new) and not component_classes(old)
    with pytest.raises(ValueError, match=rf'^a\.0\.type is {old}, which is now called {new}: rename it$'):
        prepare_config(Config(dict(a=[dict(type=old)])))


@pytest.mark.parametrize(('old', 'new'), RENAMED_KEYS.items())
def test_an_old_key_in_a_config_or_on_the_command_line_names_the_new_one(old, new):
    parent, _, key = old.rpartition('.')
    with pytest.raises(ValueError, match=rf'{old} is now called [\w.]*{parent}\.{new}'):
        prepare_config(Config({parent: {key: dict(weight=1)}} if '.' not in parent else {'model': {parent: {key: 1}}}))
    with pytest.raises(ValueError, match=rf'{old} is now called [\w.]*{parent}\.{new}'):
        apply_options(Config(dict(model=dict(type='DomainAdapter'))), {f'{old}.weight': 1})
