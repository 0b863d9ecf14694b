"""Make the pictures of docs/gallery.md: ``python -m tests.docs.gallery [RUNS]``.

RUNS is the folder of ``udass seeds streets_{source_only,quadmix,oracle} --seeds 0``, in a clone with data/streets.
Without it only the charts are drawn, which show the raw results in docs/results.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from tests.docs.camvid_results import BENCHMARKS, read_benchmark
from udass.cli.experiments.demo import test_dataset
from udass.inference import Segmenter
from udass.io.images import read_image
from udass.visualization import draw_comparison

DOCS = Path(__file__).parents[2] / 'docs'
PICTURES = DOCS / 'images/gallery'
RUNS = {'source only': 'streets_source_only', 'QuadMix': 'streets_quadmix', 'oracle': 'streets_oracle'}
# Test images that are not those of the README.
CHOSEN = (10, 37, 64, 91)
METHODS = ('source only', 'DAFormer', 'QuadMix', 'oracle')


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


def classes(benchmark):
    """IoU by class of each method: a bar is the mean over seeds, the dots are the runs."""
    methods = [method for method in read_benchmark(benchmark) if method.name in METHODS]
    labels = list(methods[0].runs[0].result['IoU'])
    figure, axes = plt.subplots(figsize=(10, 3.2), layout='constrained')
    width = 0.8 / len(methods)
    for place, method in enumerate(methods):
        values = np.array([[run.result['IoU'][label] for label in labels] for run in method.runs])
        at = np.arange(len(labels)) + (place - (len(methods) - 1) / 2) * width
        axes.bar(at, values.mean(0), width, label=method.name)
        axes.scatter(np.tile(at, len(values)), values.ravel(), s=4, color='black', zorder=3)
    axes.set_xticks(range(len(labels)), labels, rotation=35, ha='right')
    axes.set_ylabel('IoU in percent')
    figure.legend(loc='outside upper center', ncols=len(methods), frameon=False)
    figure.savefig(PICTURES / f'{benchmark}_classes.svg', metadata={'Date': None})
    plt.close(figure)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', nargs='?', type=Path)
    folder = parser.parse_args().runs
    # Without it the names of elements in the file differ each time.
    plt.rcParams['svg.hashsalt'] = 'gallery'
    for name in BENCHMARKS:
        classes(name)
    if folder:
        predictions(folder)
        training(folder)
