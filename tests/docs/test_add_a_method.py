"""The examples of docs/add_a_method.md: the component, the pass and the configs, trained for two iterations."""

import re
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS, RUNNERS

from tests.uda.small import TEACHER, build, domains
from udass.engine.config import load_config
from udass.streets import write_streets

PROJECT = Path(__file__).parents[2]
TEXT = (PROJECT / 'docs' / 'add_a_method.md').read_text()
COMPONENT, ADAPTER, RECIPE, CONFIG = re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def registered():
    """Both classes of the text, for the time of a test."""
    init_default_scope('mmseg')
    for code in (COMPONENT, ADAPTER):
        exec(compile(code, 'add_a_method.md', 'exec'), {})
    yield
    for name in ('CutMix', 'SourceMaskingAdapter'):
        MODELS.module_dict.pop(name)


def test_the_component_pastes_a_rectangle_of_the_asked_area():
    model, _ = build(dict(**TEACHER, mixing=dict(type='CutMix', share=0.25)))
    source, target = model.labelled_clip(domains()['source']), model.pseudo_labelled_clip(domains()['target'])
    mixed = model.mixing(source, target, 4, 0, model.generator)[0].clip
    from_source = (mixed.frames == source.frames).all(dim=2)
    assert from_source.float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(mixed.labels[from_source], source.labels[from_source])
    assert torch.equal(mixed.frames[:, :, 0][~from_source], target.frames[:, :, 0][~from_source])


def test_the_adapter_has_one_more_pass():
    model, optimizer = build(
        dict(**TEACHER, mixing=dict(type='CutMix'), masking=dict(type='BlockMasking')), type='SourceMaskingAdapter'
    )
    names = [
        item.name
        for item in model.passes(
            model.labelled_clip(domains()['source']), model.pseudo_labelled_clip(domains()['target']), None
        )
    ]
    assert names == ['source', 'cut', 'masked', 'masked_source']
    log = model.train_step(domains(), optimizer)
    assert log['loss'].item() == pytest.approx(sum(log[f'{name}.decode.loss_ce'].item() for name in names), rel=1e-5)


@pytest.mark.slow
def test_the_configs_train(tmp_path):
    shutil.copytree(PROJECT / 'configs' / '_base_', tmp_path / '_base_')
    (tmp_path / '_base_' / 'uda' / 'cutmix.py').write_text(RECIPE)
    (tmp_path / 'streets_cutmix.py').write_text(CONFIG)
    write_streets(
        tmp_path / 'data',
        size=(256, 512),
        workers=1,
        counts=dict(game=dict(train=2, val=1), camera=dict(train=2, val=1)),
    )
    config = load_config(
        tmp_path / 'streets_cutmix.py',
        {
            'train_cfg.max_iters': 2,
            'train_cfg.val_interval': 2,
            'default_hooks.logger.interval': 1,
            **{
                f'{loader}.dataset.data_root': str(tmp_path / 'data')
                for loader in (
                    'train_dataloader.source',
                    'train_dataloader.target',
                    'val_dataloader',
                    'test_dataloader',
                )
            },
        },
    )
    config.work_dir = str(tmp_path / 'run')
    runner = RUNNERS.build(config)
    runner.train()
    log = (Path(runner.log_dir) / 'vis_data' / 'scalars.json').read_text()
    assert runner.iter == 2 and '"cut.decode.loss_ce"' in log
