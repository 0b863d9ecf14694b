"""Loaders on drawn files."""

import math
from pathlib import Path

import cv2
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from udass.benchmark.loader import DecodedOnly, benchmark_loader, source_config, transform_times
from udass.benchmark.pictures import draw_files
from udass.datasets.sampling.streams import SeededInfiniteSampler
from udass.engine.config import load_config

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')
    threads = cv2.getNumThreads()
    yield
    cv2.setNumThreads(threads)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('gta')
    draw_files(folder, 4)
    return folder


@pytest.fixture
def config():
    """Of GTA, made small: the files of this test are decoded at their size, and cropped from a quarter of it."""
    config = load_config(PROJECT / 'configs' / 'gta2cs_daformer.py')
    for transform in config.train_dataloader.source.dataset.pipeline:
        if transform['type'] == 'Resize':
            transform['scale'] = (640, 360)
        if transform['type'] == 'RareClassCrop':
            transform['crop_size'] = (128, 128)
    return config


def test_drawn_files_take_the_place_of_gta_only(config, tmp_path):
    assert source_config(config, None)['data_root'] == 'data/gta'
    assert source_config(config, tmp_path) == {**source_config(config, None), 'data_root': str(tmp_path)}
    streets = load_config(PROJECT / 'configs' / 'benchmark_daformer_mitb0.py')
    assert source_config(streets, None)['type'] == 'StreetsDataset'
    with pytest.raises(ValueError, match='place of GTA, but the source of this config is StreetsDataset: use a gta2cs'):
        source_config(streets, tmp_path)


def test_every_transform_is_timed_in_its_order(config, folder):
    dataset = DATASETS.build(source_config(config, folder))
    times = transform_times(dataset, 2)
    assert list(times) == ['LoadImage', 'LoadLabels', 'Resize', 'RareClassCrop', 'RandomFlip', 'PackUDAInputs']
    # Reading 3 MB takes longer than packing a small crop.
    assert all(value >= 0 for value in times.values()) and times['LoadImage'] > 3 * times['PackUDAInputs']


def test_decoding_alone_reads_and_resizes_and_does_no_more(config, folder, monkeypatch):
    source = source_config(config, folder)
    dataset = DecodedOnly(source)
    called = []
    for transform in dataset.dataset.pipeline.transforms:
        original = type(transform).transform
        monkeypatch.setattr(
            transform,
            'transform',
            lambda results, transform=transform, original=original: (
                called.append(type(transform).__name__),
                original(transform, results),
            )[1],
        )
    height = dataset[next(iter(SeededInfiniteSampler(dataset, seed=0)))]
    assert called == ['LoadImage', 'LoadLabels', 'Resize'] and height == 352


def test_a_loader_is_measured_from_end_to_end(config, folder):
    result = benchmark_loader(config, folder, workers=0, repeats=2, samples=2, batches=2)
    assert result['pictures'] == 4 and len(result['transforms_ms']) == 6
    throughput, rare = result['throughput'], result['rare_class']
    assert (throughput['batch'], throughput['workers'], rare['samples']) == (2, 0, 2)
    loader = throughput['seconds_per_sample']['loader']
    assert throughput['samples_per_second'] == pytest.approx(1 / loader['median'])
    assert set(throughput['ratios']) == {'decode and resize', 'decode and resize, plain workers'}
    assert all(value['median'] > 0 for value in throughput['ratios'].values())
    assert rare['ratio']['median'] > 0
    assert 1 <= rare['loads_per_sample'] <= 11
    for timing in (*throughput['seconds_per_sample'].values(), *rare['times'].values()):
        assert timing['repeats'] == 2 and 0 < timing['low'] <= timing['median'] <= timing['high'] < math.inf
    assert list(rare['times']) == ['udass', 'reload and retry']


def test_without_rare_class_sampling_there_is_none_to_measure(config, folder):
    config.train_cfg.source_sampling = None
    config.train_dataloader.source.batch_size = 1
    result = benchmark_loader(config, folder, workers=1, repeats=1, samples=1, batches=1)
    assert set(result) == {'pictures', 'transforms_ms', 'throughput'}
    assert result['throughput']['workers'] == 1 and result['throughput']['samples_per_second'] > 0
