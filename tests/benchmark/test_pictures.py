"""Drawn files are files of GTA."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from udass.benchmark.pictures import SIZE, draw_files, draw_label
from udass.datasets.cityscapes_classes import LABEL_IDS
from udass.datasets.gta import GTA
from udass.engine.config import load_config

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('gta')
    draw_files(folder, 1)
    return folder


def test_a_picture_is_as_large_as_one_of_gta(folder):
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.png'))
    assert files == ['images/00000.png', 'labels/00000.png']
    for name, mode in (('images', 'RGB'), ('labels', 'P')):
        with Image.open(folder / name / '00000.png') as file:
            assert file.size == (1914, 1052) and file.mode == mode
    assert 1.5e6 < (folder / 'images' / '00000.png').stat().st_size < 4e6


def test_labels_are_ids_of_the_label_table(folder):
    with Image.open(folder / 'labels' / '00000.png') as file:
        label = np.array(file)
    assert set(np.unique(label)) <= set(GTA.LABEL_TABLE)
    assert len(np.unique(label)) > 10 and {int(value) for value in np.unique(label)} <= set(LABEL_IDS)


def test_the_source_pipeline_reads_what_is_drawn(folder):
    init_default_scope('mmseg')
    source = load_config(PROJECT / 'configs' / 'gta2cs_quadmix.py').train_dataloader.source.dataset
    dataset = DATASETS.build({**source, 'data_root': str(folder)})
    assert type(dataset) is GTA and len(dataset) == 1
    sample = dataset[0]
    assert sample['inputs'].shape == (3, 1024, 1024)
    labels = sample['data_samples'].gt_sem_seg.data
    assert labels.shape == (1, 1024, 1024) and labels.unique().numel() > 5 and labels.max() < 19


def test_content_depends_on_seed_and_number_alone():
    labels = [draw_label(np.random.default_rng(seed)) for seed in ([0, 1], [0, 1], [0, 2])]
    assert labels[0].shape == SIZE and (labels[0] == labels[1]).all() and (labels[0] != labels[2]).any()


def test_a_file_is_drawn_for_its_rare_classes_which_are_small():
    """Rare-class sampling asks for more than 3000 pixels in a file; a blind crop has few chances to show them."""
    rare = (12, 13, 17, 19, 25, 28, 31, 32, 33)
    for seed in range(5):
        counts = np.bincount(draw_label(np.random.default_rng(seed)).ravel(), minlength=34)
        there = [raw for raw in rare if counts[raw]]
        assert len(there) == 2 and counts[there].max() > 1000 and counts[there].sum() < 0.05 * counts.sum()
