"""The dataset parts of the benchmarks: loaders that work on files as published."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from tests.datasets.published import (
    write_acdc,
    write_bdd_vid,
    write_cityscapes,
    write_cityscapes_snippet,
    write_dark_zurich,
    write_gta,
    write_synthia,
    write_synthia_seq,
    write_viper,
)
from udass.datasets import isolated_randomness
from udass.engine.config import check_components
from udass.engine.data_loader import domain_configs
from udass.streets import write_streets

PARTS = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets'
# Part -> size of the validation images (width, height).
VALIDATION = {
    'gta2cs_512': (1024, 512),
    'gta2cs_1024': (2048, 1024),
    'syn2cs_512': (1024, 512),
    'syn2cs_1024': (2048, 1024),
    'cs2acdc_512': (960, 540),
    'cs2acdc_1024': (1920, 1080),
    'cs2dz_512': (960, 540),
    'cs2dz_1024': (1920, 1080),
}


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


@pytest.mark.parametrize(
    'name',
    [
        'gta2cs_quadmix',
        'gta2cs_quadmix_cnn',
        'syn2cs_quadmix',
        'syn2cs_quadmix_cnn',
        'cs2acdc_quadmix',
        'cs2dz_quadmix',
    ],
)
def test_long_tail_images_are_resized_as_in_quadmix_and_not_flipped(name, data):
    config = Config.fromfile(PARTS.parents[1] / f'{name}.py')
    source = config.train_dataloader.source
    source.dataset.data_root = str(data / Path(source.dataset.data_root).name)
    stream = domain_configs({'source': source}, ('source',), long_tail=config.train_cfg.long_tail)['long_tail']
    assert stream['batch_size'] == 2 * 2 * 2
    dataset = DATASETS.build(stream['dataset']['dataset'])
    info, pipeline = dataset.get_data_info(0), dataset.pipeline
    labels = pipeline.transforms[1](pipeline.transforms[0](dict(info)))['gt_seg_map']
    with Image.open(info['img_path']) as file:
        image = np.array(file.resize((2048, 1024), Image.Resampling.BILINEAR))[..., ::-1]  # RGB to BGR
    labels = np.array(Image.fromarray(labels).resize((2048, 1024), Image.Resampling.NEAREST))
    # Crops have the full height: where each lies in the whole image.
    places = set()
    for seed in range(3):
        with isolated_randomness(seed):
            sample = pipeline(dict(info))
        crop = sample['inputs'].numpy().transpose(1, 2, 0)
        place = next(x for x in range(1025) if np.array_equal(image[0, x : x + 1024], crop[0]))
        assert np.array_equal(image[:, place : place + 1024], crop)
        assert np.array_equal(sample['data_samples'].gt_sem_seg.data[0], labels[:, place : place + 1024])
        places.add(place)
    assert len(places) > 1


@pytest.mark.parametrize('name', VALIDATION)
def test_loaders_read_the_published_files(name, data):
    config = Config.fromfile(PARTS / f'{name}.py')
    crop = int(name.split('_')[1])
    samples = {}
    for domain, loader in [*config.train_dataloader.items(), ('val', config.val_dataloader)]:
        dataset = DATASETS.build({**loader.dataset, 'data_root': str(data / Path(loader.dataset.data_root).name)})
        with isolated_randomness(0):
            samples[domain] = dataset[0]
    for domain in ('source', 'target'):
        assert samples[domain]['inputs'].shape == (3, crop, crop)
    assert samples['source']['data_samples'].gt_sem_seg.data.shape == (1, crop, crop)
    assert 'gt_sem_seg' not in samples['target']['data_samples']
    width, height = VALIDATION[name]
    assert samples['val']['inputs'].shape == (3, height, width)
    truth = samples['val']['data_samples']
    assert truth.gt_sem_seg.data.shape[1:] == truth.ori_shape
    # Cityscapes as the target, and whatever DAFormer adapts to.
    marked = name.split('2')[1].startswith('cs_') or name.endswith('512')
    assert ('valid_pseudo_mask' in samples['target']['data_samples']) == marked
    assert 'valid_pseudo_mask' not in samples['source']['data_samples']


@pytest.mark.parametrize('name', ['gta2cs_512', 'cs2acdc_512', 'cs2dz_512'])
def test_the_margins_at_half_size_are_the_rows_of_daformer(name, data):
    target = Config.fromfile(PARTS / f'{name}.py').train_dataloader.target.dataset
    dataset = DATASETS.build({**target, 'data_root': str(data / Path(target.data_root).name)})
    mask = dataset[0]['data_samples'].valid_pseudo_mask.data[0]
    assert mask[15:392].all() and not mask[:15].any() and not mask[392:].any()


# --------------------------------------------------------------------------- video

# Part -> size of the source frames (width, height).
VIDEO = {'viper2csseq': (1280, 720), 'synseq2csseq': (1280, 640)}


@pytest.fixture(scope='module')
def video_data(tmp_path_factory):
    """Folder with a few frames of every video data set, of the aspect ratios of the published ones."""
    root = tmp_path_factory.mktemp('video')
    write_viper(root / 'viper', frames=(9, 10), size=(192, 108))
    write_synthia_seq(root / 'synthia_seq', frames=range(2), size=(128, 76))
    for split in ('train', 'val'):
        write_cityscapes_snippet(root / 'cityscapes', split, city='frankfurt', labelled_frame=294, first=290, length=5)
    return root


def video_samples(config, root, flow_folder) -> dict:
    """The first clip of each loader."""
    samples = {}
    for domain, loader in [*config.train_dataloader.items(), ('val', config.val_dataloader)]:
        step(loader.dataset.pipeline, 'LoadFlow').cache.folder = str(flow_folder)
        dataset = DATASETS.build({**loader.dataset, 'data_root': str(root / Path(loader.dataset.data_root).name)})
        with isolated_randomness(0):
            samples[domain] = dataset[0]
    return samples


@pytest.mark.parametrize('name', VIDEO)
def test_video_loaders_read_the_published_files(name, video_data, tmp_path):
    samples = video_samples(Config.fromfile(PARTS / f'{name}.py'), video_data, tmp_path)
    source, target, val = (samples[domain]['data_samples'] for domain in ('source', 'target', 'val'))
    width, height = VIDEO[name]
    assert samples['source']['inputs'].shape == (2, 3, height, width)
    assert source.gt_sem_seg.data.shape == (2, height, width) and source.flow.shape == (1, 2, height, width)
    assert (source.gt_sem_seg.data != 255).any(-1).any(-1).all()
    assert samples['target']['inputs'].shape == (4, 3, 512, 1024) and 'gt_sem_seg' not in target
    assert target.flow.shape == (3, 2, 512, 1024) and target.past_flow.shape == (1, 2, 512, 1024)
    assert samples['val']['inputs'].shape == (2, 3, 512, 1024) and val.flow.shape == (1, 2, 512, 1024)
    assert val.gt_sem_seg.data.shape == (2, *val.ori_shape) and (val.gt_sem_seg.data[1] == 255).all()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['viper2csseq_clips_1024', 'synseq2csseq_clips_1024'])
def test_crops_of_clips(name, video_data, tmp_path):
    config = Config.fromfile(PARTS / f'{name}.py')
    check_components(config.to_dict())
    samples = video_samples(config, video_data, tmp_path)
    for domain in ('source', 'target'):
        assert samples[domain]['inputs'].shape == (2, 3, 1024, 1024)
        assert samples[domain]['data_samples'].flow.shape == (1, 2, 1024, 1024)
    source, target, val = (samples[domain]['data_samples'] for domain in ('source', 'target', 'val'))
    assert source.gt_sem_seg.data.shape == (2, 1024, 1024) and 'valid_pseudo_mask' not in source
    assert 'gt_sem_seg' not in target and target.valid_pseudo_mask.data.shape == (1, 1024, 1024)
    assert samples['val']['inputs'].shape == (2, 3, 1024, 2048) and val.flow.shape == (1, 2, 1024, 2048)


def test_frames_of_bddvid(tmp_path):
    write_viper(tmp_path / 'viper', frames=(9, 10), size=(192, 108))
    for split in ('train', 'val_orig_10k'):
        write_bdd_vid(tmp_path / 'bddvid', split)
    config = Config.fromfile(PARTS / 'viper2bdd_frames_720.py')
    check_components(config.to_dict())
    samples = {}
    for domain, loader in [*config.train_dataloader.items(), ('val', config.val_dataloader)]:
        dataset = DATASETS.build({**loader.dataset, 'data_root': str(tmp_path / Path(loader.dataset.data_root).name)})
        samples[domain] = dataset[0]
    assert samples['source']['inputs'].shape == samples['target']['inputs'].shape == (3, 720, 720)
    assert not {'gt_sem_seg', 'valid_pseudo_mask'} & set(samples['target']['data_samples'].keys())
    assert samples['val']['inputs'].shape == (3, 720, 1280) and config.test_dataloader == config.val_dataloader


@pytest.mark.slow
def test_the_clips_of_streets(tmp_path):
    clips = {'game': {'train': 1}, 'camera': {'train': 1, 'val': 1}}
    write_streets(tmp_path / 'streets', counts={'game': {'train': 0}}, clip_counts=clips, workers=1)
    config = Config.fromfile(PARTS / 'streets_video.py')
    check_components(config.to_dict())
    samples = video_samples(config, tmp_path, tmp_path / 'flow')
    assert [samples[domain]['inputs'].shape[:2] for domain in ('source', 'target', 'val')] == [(2, 3), (4, 3), (2, 3)]
    assert samples['source']['data_samples'].flow.shape == (1, 2, 128, 192)
    assert samples['source']['data_samples'].flow.abs().max() > 0.5


def test_the_video_of_camvid(camvid_root, tmp_path, monkeypatch):
    monkeypatch.setenv('UDASS_CAMVID', str(camvid_root))
    config = Config.fromfile(PARTS / 'camvid_video.py')
    check_components(config.to_dict())
    samples = video_samples(config, Path(camvid_root).parent, tmp_path)
    # Stills do not move, video does.
    assert not samples['source']['data_samples'].flow.any()
    assert samples['target']['data_samples'].flow.abs().max() > 0.5
    assert samples['target']['inputs'].shape == (4, 3, 240, 320)
    assert (samples['val']['data_samples'].gt_sem_seg.data != 255).any(-1).any(-1).all()
