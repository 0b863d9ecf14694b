from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from udass.cli.experiments.preview import Preview
from udass.streets.writer import write_streets

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.fixture(scope='module')
def streets(tmp_path_factory):
    root = tmp_path_factory.mktemp('streets')
    write_streets(
        root,
        size=(96, 192),
        workers=1,
        counts=dict(game=dict(train=6), camera=dict(train=6)),
        clip_counts=dict(game=dict(train=1), camera=dict(train=1)),
    )
    return root


def config_of(name, streets):
    config = Config.fromfile(CONFIGS / f'{name}.py')
    for loader in config.train_dataloader.values():
        loader.dataset.data_root = str(streets)
    if 'source_sampling' in config.train_cfg:
        config.train_cfg.source_sampling.min_pixels = 300
    return config


def names(batch):
    return {domain: [Path(sample.img_path).name for sample in data['data_samples']] for domain, data in batch.items()}


def test_quadmix_is_shown_as_it_is_trained_and_no_student_is_run(streets, tmp_path):
    config = config_of('streets_quadmix', streets)
    preview = Preview(config, tmp_path / 'a')
    before = {key: value.clone() for key, value in preview.model.student.state_dict().items()}
    preview.model.student.forward = None
    batches, panels = [], []
    for batch in preview.batches(2):
        batches.append(names(batch))
        panels.append({name: panel['frames'].clone() for name, panel in preview.passes(batch).items()})
    assert list(panels[0]) == ['target', 'source', 'mix'], 'no template before the second iteration'
    assert list(panels[1]) == ['target', 'source', 'tss', 'tst']
    assert preview.model.iteration == 2 and set(batches[0]) == {'source', 'target', 'long_tail'}
    after = preview.model.student.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert preview.metainfo['classes'][0] == 'road' and config.custom_hooks, 'the config stays as it is'
    # From the second iteration on: the same batch, mixed with the templates of the first.
    later = Preview(config, tmp_path / 'b', iteration=1)
    batch = next(later.batches(1))
    assert names(batch) == batches[1]
    assert list(later.passes(batch)) == ['target', 'source', 'tss', 'tst']


def test_a_method_without_mixing_has_no_passes(streets, tmp_path):
    preview = Preview(config_of('streets_source_only', streets), tmp_path)
    assert not preview.has_passes
    assert [set(batch) for batch in preview.batches(1)] == [{'source'}]


def test_pseudo_labels_are_those_of_the_checkpoint(streets, tmp_path):
    config = config_of('streets_quadmix', streets)
    first = Preview(config, tmp_path / 'a')
    with torch.no_grad():
        first.model.teacher.decode_head.conv_seg.bias[7] = 1000.0
    torch.save(dict(state_dict=first.model.state_dict()), tmp_path / 'a.pth')
    preview = Preview(config, tmp_path / 'b', checkpoint=str(tmp_path / 'a.pth'))
    assert (preview.passes(next(preview.batches(1)))['target']['labels'] == 7).all()
