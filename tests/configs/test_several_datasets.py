"""Configs with several sources, targets and test sets: the example of docs/configs.md, and the parts that hold some."""

import re
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from tests.datasets.published import (
    write_acdc,
    write_bdd100k,
    write_cityscapes,
    write_dark_zurich,
    write_gta,
    write_mapillary,
    write_synscapes,
    write_synthia,
    write_wilddash,
)
from udass.datasets import SeededInfiniteSampler, isolated_randomness
from udass.engine.config import load_config
from udass.engine.data_loader import domain_configs

PROJECT = Path(__file__).parents[2]
EXAMPLES = re.findall(
    r'```python\n(.*?)```', (PROJECT / 'docs/configs.md').read_text().split('## Several data sets')[1], re.DOTALL
)


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
    """Working folder with small files below ``data``."""
    init_default_scope('mmseg')
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'data'
    write_gta(root / 'gta', ids=(7, 26, 12, 33))
    write_synthia(root / 'synthia', ids=(3, 8, 21, 11))
    for split in ('train', 'val'):
        write_cityscapes(root / 'cityscapes', split, ids=(7, 26, 13, 33))
    write_bdd100k(root / 'bdd100k')
    write_mapillary(root / 'mapillary')
    write_wilddash(root / 'wilddash2')


def load(tmp_path, text):
    """The config of an example, as if it were among the others."""
    path = tmp_path / 'example.py'
    path.write_text(
        text.replace("_base_ = ['", f"_base_ = ['{PROJECT}/configs/").replace("', '_", f"', '{PROJECT}/configs/_")
    )
    return load_config(path)


def test_the_example_trains_on_two_sources_and_tests_on_two_sets(tmp_path):
    config = load(tmp_path, EXAMPLES[0])
    streams = domain_configs(config.train_dataloader, ('source', 'target'), config.train_cfg.source_sampling)
    source = DATASETS.build({**streams['source']['dataset'], 'min_pixels': 0})
    assert [type(part).__name__ for part in source.dataset.datasets] == ['GTA', 'Synthia'] and len(source) == 2
    draws = SeededInfiniteSampler(source, seed=0)
    found = {source.get_data_info(draw)['img_path'].split('/')[-3] for draw, _ in zip(draws, range(30), strict=False)}
    assert found == {'gta', 'synthia'}
    sample = source[next(iter(draws))]
    assert sample['inputs'].shape == (3, 1024, 1024)
    test = DATASETS.build(config.test_dataloader.dataset)
    assert [test[index]['data_samples'].dataset_name for index in range(2)] == ['Cityscapes', 'BDD100K']
    assert [tuple(test[index]['inputs'].shape) for index in range(2)] == [(3, 1024, 2048), (3, 1024, 1820)]


def test_the_test_sets_of_generalisation(tmp_path):
    config = load(tmp_path, EXAMPLES[1])
    test = DATASETS.build(config.test_dataloader.dataset)
    samples = [test[index] for index in range(len(test))]
    assert [sample['data_samples'].dataset_name for sample in samples] == test.names
    assert test.names == ['Cityscapes', 'BDD100K', 'Mapillary', 'WildDash2']
    # The short side is that of Cityscapes, and the truth has its own size.
    assert {min(sample['inputs'].shape[1:]) for sample in samples} == {1024}
    assert all(
        sample['data_samples'].gt_sem_seg.data.shape[1:] == sample['data_samples'].ori_shape for sample in samples
    )
    assert config.val_dataloader.dataset.type == 'Cityscapes'


def test_all_synthetic_to_all_real(tmp_path):
    root = tmp_path / 'data'
    write_synscapes(root / 'synscapes')
    write_bdd100k(root / 'bdd100k', 'train', labelled=False)
    write_mapillary(root / 'mapillary', split='training', size=(40, 80))
    write_acdc(root / 'acdc', 'fog', 'train', labelled=False)
    for time in ('night', 'day'):
        write_dark_zurich(root / 'dark_zurich', 'train', labelled=False, time=time)
    config = load_config(PROJECT / 'configs/_base_/datasets/synthetic2real_1024.py')
    source, target = (DATASETS.build(config.train_dataloader[domain].dataset) for domain in ('source', 'target'))
    assert [type(part).__name__ for part in source.datasets] == ['GTA', 'Synthia', 'Synscapes'] and len(source) == 3
    assert [type(part).__name__ for part in target.datasets] == [
        *('Cityscapes', 'BDD100K', 'Mapillary', 'ACDC', 'DarkZurich')
    ]
    assert len(target) == 6
    for dataset in (source, target):
        for index in range(len(dataset)):
            with isolated_randomness(index):
                sample = dataset[index]
            assert sample['inputs'].shape == (3, 1024, 1024)
            assert {'gt_sem_seg', 'valid_pseudo_mask'} & set(sample['data_samples'].keys()) == {
                'gt_sem_seg' if dataset is source else 'valid_pseudo_mask'
            }
            short = min(sample['data_samples'].ori_shape) * sample['data_samples'].scale_factor[1]
            wanted = 1440 if dataset is source and index == 0 else 1024
            assert 0.89 * wanted < short < 1.11 * wanted
    test = DATASETS.build(config.test_dataloader.dataset)
    assert test.names == ['Cityscapes', 'WildDash2'] and len(test) == 2
    assert min(test[1]['inputs'].shape[1:]) == 1024
