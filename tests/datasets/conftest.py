"""Small labelled folders, written by each test as it needs them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.registry import init_default_scope

from udass.datasets import UDADataset

CLASSES = ('ground', 'tree', 'lamp')
PALETTE = [[100, 100, 100], [0, 120, 0], [250, 250, 0]]
RARE_CLASSES = [dict(name='lamp', weight=1, min_pixels=3)]


@pytest.fixture(autouse=True)
def mmseg_scope():
    """Transforms and data sets are looked up among those of mmseg, as in a run."""
    init_default_scope('mmseg')


class SceneFolder:
    """A folder ``root`` with ``images/*.png`` and ``labels/*.png`` of the classes ground, tree, lamp."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ('images', 'labels'):
            (root / name).mkdir(parents=True)

    def add(self, name: str, labels: np.ndarray | None, image: np.ndarray | None = None) -> None:
        """Write one image (by default (y, x, 0) as blue, green, red) and its label, if any."""
        if image is None:
            height, width = labels.shape
            image = np.zeros((height, width, 3), np.uint8)
            image[..., 0] = np.arange(height)[:, None]
            image[..., 1] = np.arange(width)
        assert cv2.imwrite(str(self.root / 'images' / f'{name}.png'), image)
        if labels is not None:
            assert cv2.imwrite(str(self.root / 'labels' / f'{name}.png'), labels)

    def config(self, *, transforms=(), labelled=True, **changes) -> dict:
        """Config of the data set; its pipeline loads, applies ``transforms`` and packs."""
        load = [dict(type='LoadImage')] + [dict(type='LoadLabels')] * labelled
        pipeline = [*load, *transforms, dict(type='PackUDAInputs')]
        metainfo = dict(classes=CLASSES, palette=PALETTE, rare_classes=RARE_CLASSES)
        config = dict(
            type='UDADataset',
            data_root=str(self.root),
            image_folder='images',
            label_folder='labels',
            image_suffix='.png',
            label_suffix='.png',
            labelled=labelled,
            pipeline=pipeline,
            metainfo=metainfo,
        )
        return {**config, **changes}

    def build(self, kind: type[UDADataset] = UDADataset, **changes) -> UDADataset:
        """The data set of ``config``."""
        config = self.config(**changes)
        del config['type']
        return kind(**config)


@pytest.fixture
def scenes(tmp_path) -> SceneFolder:
    """An empty scene folder."""
    return SceneFolder(tmp_path / 'scenes')


@pytest.fixture
def filled_scenes(scenes) -> SceneFolder:
    """12 images of 20 x 30 pixels: all ground, a tree of 4 x 4 in the even ones, a lamp of 2 x 2 in three."""
    for number in range(12):
        labels = np.zeros((20, 30), np.uint8)
        if number % 2 == 0:
            labels[2:6, 3:7] = 1
        if number < 3:
            labels[10:12, 20:22] = 2
        labels[-1] = 255
        scenes.add(f'{number:02d}', labels)
    return scenes


@pytest.fixture(scope='session')
def camvid_root(camvid_root: Path) -> str:
    """Folder of CamVid."""
    return str(camvid_root)
