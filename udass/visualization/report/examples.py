"""Show tested images beside their ground truth and the predictions of each run."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.dataset import ConcatDataset
from mmseg.datasets import BaseSegDataset
from PIL import Image

from udass.io.images import read_image
from udass.visualization.canvas import colour_labels
from udass.visualization.pages import colour_legend, image_uri
from udass.visualization.report import metrics
from udass.visualization.report.curves import draw_scatter
from udass.visualization.report.metrics import Choice
from udass.visualization.report.reading import Method, Run

_WIDTH = 480


@dataclass(frozen=True)
class Example:
    """A tested image: its name, why it was chosen, and (caption, data URI) of each of its images."""

    name: str
    choice: Choice
    tiles: list[tuple[str, str]]


@dataclass(frozen=True)
class Examples:
    """Titled groups of examples with the colours of the classes, or the reason why there are none."""

    groups: Sequence[tuple[str, list[Example]]] = ()
    legend: Sequence[tuple[str, str]] = ()
    scatter: str = ''
    reason: str = ''


def find_examples(
    methods: Sequence[Method], count: int, open_dataset: Callable[[dict], BaseSegDataset | ConcatDataset]
) -> Examples:
    """Of one method the ``count`` best and worst images, of several those that gain and lose most; ``open_dataset``
    makes the test data set from the stored config of a run. The first run of each method with predictions is shown."""
    found = [(method.name, run) for method in methods for run in method.runs if run.predictions and run.details]
    runs = list(dict(reversed(found)).values())[::-1]
    names = list(dict.fromkeys(name for name, _ in found))
    if not runs:
        return Examples(reason='There are no predictions with scores by image yet; the command is in the summary.')
    try:
        return _draw_examples(runs, names, count, open_dataset(runs[0].config))
    except (OSError, ValueError, KeyError) as error:
        reason = f'The test images cannot be read from here: {str(error).strip()}'
        return Examples(reason=f'{reason} (paths in a config are relative to where the tools are run).')


def _draw_examples(
    runs: Sequence[Run], names: Sequence[str], count: int, dataset: BaseSegDataset | ConcatDataset
) -> Examples:
    if len(runs) == 1:
        chosen = metrics.best_and_worst(runs[0], count)
        titles, scatter = ('Best images', 'Worst images'), ''
    else:
        chosen = metrics.gains_and_losses(runs, count)
        titles = (f'Largest gains of {names[-1]} over {names[0]}', f'Largest losses of {names[-1]} against {names[0]}')
        first, last = metrics.image_miou(runs[0]), metrics.image_miou(runs[-1])
        shared = [image for image in first if image in last]
        points = ([first[image] for image in shared], [last[image] for image in shared])
        scatter = draw_scatter(*points, names=(names[0], names[-1]))
    dataset.full_init()
    paths = [dataset.get_data_info(index).get('img_path') for index in range(len(dataset))]
    places = {str(path): index for index, path in enumerate(paths) if path is not None}
    palette = dataset.metainfo['palette']
    groups = []
    for title, choices in zip(titles, chosen, strict=True):
        examples = []
        for choice in choices:
            truth = dataset[places[choice.image]]['data_samples'].gt_sem_seg.data[0].numpy()
            examples.append(draw_example(choice, truth, runs, names, palette))
        groups.append((title, examples))
    return Examples(groups, colour_legend(dataset.metainfo['classes'], palette), scatter)


def draw_example(
    choice: Choice, truth: np.ndarray, runs: Sequence[Run], names: Sequence[str], palette: Sequence[Sequence[int]]
) -> Example:
    """The image, its ground truth (H, W), and the prediction of each run."""
    tiles = [('image', image_uri(read_image(choice.image)[..., ::-1], _WIDTH, 'jpeg'))]
    tiles.append(('ground truth', image_uri(colour_labels(truth, palette), _WIDTH)))
    for run, name, miou in zip(runs, names, choice.miou, strict=True):
        with Image.open(run.predictions / prediction_file(run, choice.image)) as file:
            tiles.append((f'{name}: {miou:.1f}', image_uri(colour_labels(np.array(file), palette), _WIDTH)))
    # A page is UTF-8; names of files need not be.
    return Example(os.fsencode(Path(choice.image).name).decode(errors='replace'), choice, tiles)


def prediction_file(run: Run, image: str) -> str:
    """Name of the prediction of an image below the folder of the run's predictions; ValueError if the test did not keep
    the names, and several images could have it."""
    item = next(item for item in run.details['images'] if item['image'] == image)
    if 'prediction' in item:
        return item['prediction']
    stem = Path(image).stem
    if sum(Path(item['image']).stem == stem for item in run.details['images']) > 1:
        raise ValueError(f'several test images have the name {stem}: test {run.folder} again to know whose it is')
    return f'{stem}.png'
