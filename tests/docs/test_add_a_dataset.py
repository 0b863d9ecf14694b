"""The examples of docs/add_a_dataset.md, run on files as they describe them."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS

from udass.datasets import ImageFolder, isolated_randomness
from udass.engine.config import check_components
from udass.engine.data_loader import domain_configs

TEXT = (Path(__file__).parents[2] / 'docs' / 'add_a_dataset.md').read_text()
# The third block, a video as the target, is tested in tests/datasets/test_video_file.py.
CONFIG, CLASS, _ = re.findall(r'```python\n(.*?)```', TEXT, re.DOTALL)


@pytest.fixture(autouse=True)
def farm(tmp_path, monkeypatch):
    """Working folder with data/farm, whose ids are 0, 1, 2, 3 and 7 in stripes, and data/orchard."""
    init_default_scope('mmseg')
    monkeypatch.chdir(tmp_path)
    ids = np.repeat(np.array([0, 1, 2, 3, 7], np.uint8), 16)[None].repeat(70, 0)
    for below in ('', 'train/'):
        for folder in (f'data/farm/images/{below}', f'data/farm/labels/{below}', 'data/orchard'):
            Path(folder).mkdir(parents=True, exist_ok=True)
        if below:
            assert cv2.imwrite(f'data/farm/images/{below}a.jpg', np.zeros((70, 80, 3), np.uint8))
            assert cv2.imwrite(f'data/farm/labels/{below}a_ids.png', ids)
    assert cv2.imwrite('data/orchard/1.png', np.zeros((70, 80, 3), np.uint8))


def test_the_config_is_enough(tmp_path):
    (tmp_path / 'farm2orchard.py').write_text(CONFIG)
    config = Config.fromfile(tmp_path / 'farm2orchard.py')
    check_components(config.to_dict())
    # With the wrappers that a method puts around it.
    streams = domain_configs(
        config.train_dataloader,
        ('source', 'target'),
        dict(type='RareClassDataset', min_pixels=50),
        dict(draws=1, mixes=2),
    )
    assert set(streams) == {'source', 'target', 'long_tail'}
    for name, stream in streams.items():
        dataset = DATASETS.build(stream['dataset'])
        assert dataset.metainfo['classes'] == ('ground', 'tree', 'person')
        with isolated_randomness(0):
            sample = dataset.dataset[0]
        assert sample['inputs'].shape == (3, 64, 64)
        if name != 'target':
            assert set(sample['data_samples'].gt_sem_seg.data.unique().tolist()) <= {0, 1, 2, 255}


def test_the_class_is_complete():
    exec(compile(CLASS, 'add_a_dataset.md', 'exec'), {})
    try:
        dataset = DATASETS.build(
            dict(
                type='Farm',
                data_root='data/farm',
                split='train',
                pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')],
            )
        )
        assert dataset[0]['gt_seg_map'][0, ::16].tolist() == [255, 0, 1, 1, 2]
        assert (
            ImageFolder(data_root='data/orchard', classes_from='Farm').metainfo['classes']
            == dataset.metainfo['classes']
        )
    finally:
        DATASETS.module_dict.pop('Farm')
