"""The dataset parts of the benchmarks: sizes as published, and loaders that work on files as published."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

import udass  # noqa: F401
from tests.datasets.published import write_acdc, write_cityscapes, write_dark_zurich, write_gta, write_synthia
from udass.datasets import isolated_randomness
from udass.engine.config import check_components

PARTS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
# Part -> source type and its size, target type and its size (width, height), crop.
PUBLISHED = {
    'gta2cs_512': ('GTA', (1280, 720), 'Cityscapes', (1024, 512), 512),
    'gta2cs_1024': ('GTA', (2560, 1440), 'Cityscapes', (2048, 1024), 1024),
    'syn2cs_512': ('Synthia', (1280, 760), 'Cityscapes', (1024, 512), 512),
    'syn2cs_1024': ('Synthia', (2560, 1520), 'Cityscapes', (2048, 1024), 1024),
    'cs2acdc_1024': ('Cityscapes', (2048, 1024), 'ACDC', (1920, 1080), 1024),
    'cs2dz_1024': ('Cityscapes', (2048, 1024), 'DarkZurich', (1920, 1080), 1024)}
SYN_CLASSES = dict(mIoU16={'terrain', 'truck', 'train'}, mIoU13={'terrain', 'truck', 'train', 'wall', 'fence', 'pole'})


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Folder with one small file per split of every data set."""
    root = tmp_path_factory.mktemp('data')
    write_gta(root / 'gta')
    write_synthia(root / 'synthia')
    for split in ('train', 'val'):
        write_cityscapes(root / 'cityscapes', split, ids=(7, 8, 26, 11, 23))
        write_acdc(root / 'acdc', 'fog', split)
        write_dark_zurich(root / 'dark_zurich', split, labelled=split == 'val')
    return root


def step(pipeline, kind):
    return next((transform for transform in pipeline if transform['type'] == kind), None)


@pytest.mark.parametrize('name', PUBLISHED)
def test_sizes_are_those_of_the_papers(name):
    source_type, source_size, target_type, target_size, crop = PUBLISHED[name]
    config = Config.fromfile(PARTS / f'{name}.py')
    check_components(config.to_dict())
    source, target = config.train_dataloader.source, config.train_dataloader.target
    assert (source.dataset.type, target.dataset.type) == (source_type, target_type)
    assert source.batch_size == target.batch_size == 2
    assert step(source.dataset.pipeline, 'Resize')['scale'] == source_size
    assert step(target.dataset.pipeline, 'Resize')['scale'] == target_size
    assert step(config.val_dataloader.dataset.pipeline, 'Resize')['scale'] == target_size
    assert step(source.dataset.pipeline, 'RareClassCrop')['crop_size'] == (crop, crop)
    assert step(source.dataset.pipeline, 'RareClassCrop')['cat_max_ratio'] == 0.75
    assert step(target.dataset.pipeline, 'RareClassCrop')['crop_size'] == (crop, crop)
    assert target.dataset.labelled is False and step(target.dataset.pipeline, 'LoadLabels') is None
    assert config.val_dataloader.dataset.split == 'val' and config.test_dataloader == config.val_dataloader


@pytest.mark.parametrize('name', PUBLISHED)
def test_loaders_read_the_published_files(name, data):
    config = Config.fromfile(PARTS / f'{name}.py')
    crop = PUBLISHED[name][-1]
    samples = {}
    for domain, loader in [*config.train_dataloader.items(), ('val', config.val_dataloader)]:
        dataset = DATASETS.build({**loader.dataset, 'data_root': str(data / Path(loader.dataset.data_root).name)})
        with isolated_randomness(0):
            samples[domain] = dataset[0]
    for domain in ('source', 'target'):
        assert samples[domain]['inputs'].shape == (3, crop, crop)
    assert samples['source']['data_samples'].gt_sem_seg.data.shape == (1, crop, crop)
    assert 'gt_sem_seg' not in samples['target']['data_samples']
    width, height = PUBLISHED[name][3]
    assert samples['val']['inputs'].shape == (3, height, width)
    truth = samples['val']['data_samples']
    assert truth.gt_sem_seg.data.shape[1:] == truth.ori_shape
    assert ('valid_pseudo_mask' in samples['target']['data_samples']) == name.split('2')[1].startswith('cs_')
    assert 'valid_pseudo_mask' not in samples['source']['data_samples']


def test_the_margins_at_half_size_are_the_rows_of_daformer(data):
    config = Config.fromfile(PARTS / 'gta2cs_512.py')
    dataset = DATASETS.build({**config.train_dataloader.target.dataset, 'data_root': str(data / 'cityscapes')})
    mask = dataset[0]['data_samples'].valid_pseudo_mask.data[0]
    assert mask[15:392].all() and not mask[:15].any() and not mask[392:].any()


@pytest.mark.parametrize('name', ['syn2cs_512', 'syn2cs_1024'])
def test_synthia_is_reported_on_16_and_13_classes(name):
    dataset = DATASETS.build({**Config.fromfile(PARTS / f'{name}.py').val_dataloader.dataset, 'lazy_init': True})
    every = set(dataset.metainfo['classes'])
    for protocol, left_out in SYN_CLASSES.items():
        assert set(dataset.metainfo['protocols'][protocol]) == every - left_out


def test_acdc_is_reported_per_condition():
    dataset = DATASETS.build({**Config.fromfile(PARTS / 'cs2acdc_1024.py').val_dataloader.dataset, 'lazy_init': True})
    assert {name: entry['condition'] for name, entry in dataset.metainfo['protocols'].items()} == {
        'mIoU_fog': 'fog', 'mIoU_night': 'night', 'mIoU_rain': 'rain', 'mIoU_snow': 'snow'}
