"""Make the pictures of docs/gallery.md from runs: ``python -m tests.docs.gallery RUNS``.

RUNS is the folder of ``udass seeds streets_{source_only,quadmix,oracle} --seeds 0``, in a clone with data/streets.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from udass.cli.experiments.demo import test_dataset
from udass.inference import Segmenter
from udass.io.images import read_image
from udass.visualization import draw_comparison

DOCS = Path(__file__).parents[2] / 'docs'
PICTURES = DOCS / 'images/gallery'
RUNS = {'source only': 'streets_source_only', 'QuadMix': 'streets_quadmix', 'oracle': 'streets_oracle'}
# Test images that are not those of the README.
CHOSEN = (10, 37, 64, 91)


def save(name, image):
    """As JPEG, which takes a third of what PNG takes for drawn photographs."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(PICTURES / f'{name}.jpg', quality=88, optimize=True)


def predictions(runs):
    """Test images with the prediction of each network and the truth."""
    dataset = test_dataset('data/streets')
    infos = [dataset.get_data_info(index) for index in CHOSEN]
    columns = {}
    for title, config in RUNS.items():
        segment = Segmenter(max((runs / config / 'seed_0').glob('iter_*.pth')))
        columns[title] = [segment(info['img_path']) for info in infos]
    columns['truth'] = [dataset.pipeline(info)['data_samples'].gt_sem_seg.data[0].numpy() for info in infos]
    images = [read_image(info['img_path'])[..., ::-1].copy() for info in infos]
    save('predictions', draw_comparison(images, columns, dataset.metainfo['classes'], dataset.metainfo['palette']))


def training(runs):
    """What QuadMix was trained on in its last iteration."""
    panel = max((runs / 'streets_quadmix/seed_0/panels').glob('iter_*.png'))
    save('training', np.array(Image.open(panel).convert('RGB')))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', type=Path)
    folder = parser.parse_args().runs
    predictions(folder)
    training(folder)
