"""Pictures of the page: small, and inside it (data URIs)."""

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from udass.engine.stored_config import dataset_settings
from udass.io.images import read_image
from udass.visualization.canvas import colour_labels
from udass.visualization.report.reading import Run
from udass.visualization.report.scores import Choice

_TILE = 480
_PANEL = 1800


@dataclass(frozen=True)
class Tile:
    """One picture of an example, as a data URI, and what it is."""

    title: str
    uri: str


@dataclass(frozen=True)
class Example:
    """A tested image beside its truth and what each run made of it."""

    name: str
    choice: Choice
    tiles: list[Tile]


def photograph(picture: np.ndarray | Image.Image, width: int) -> str:
    """A picture (H, W, 3) uint8 RGB as JPEG, at most ``width`` pixels wide."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image = image.convert('RGB')
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.LANCZOS)
    return _uri(image, 'jpeg', quality=85)


def label_image(labels: np.ndarray, palette: Sequence[Sequence[int]], width: int = _TILE) -> str:
    """Labels (H, W) in their colours as PNG, at most ``width`` pixels wide; none of the colours is mixed."""
    image = Image.fromarray(colour_labels(labels, palette))
    if image.width > width:
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.NEAREST)
    return _uri(image.quantize(256, dither=Image.Dither.NONE), 'png', optimize=True)


def panel_image(path: Path) -> str:
    """A training panel."""
    with Image.open(path) as image:
        return photograph(image, _PANEL)


def _uri(image: Image.Image, kind: str, **options: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format=kind, **options)
    return f'data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}'


class TestImages:
    """Images and true labels of the data set that a run was tested on.

    Args:
        config (dict): the run's config, with ``test_dataloader``.

    Raises:
        ValueError, OSError: the data set is not there, the config has none, or one that a stored config may not name.
    """

    __test__ = False  # not a test of pytest

    def __init__(self, config: dict) -> None:
        loader = config.get('test_dataloader')
        if not isinstance(loader, dict) or not isinstance(loader.get('dataset'), dict):
            raise ValueError('the config that was kept has no test_dataloader that can be read without running it')
        import udass  # noqa: F401, PLC0415  registers the data sets

        init_default_scope('mmseg')
        self.dataset = DATASETS.build(dataset_settings(loader['dataset']))
        self.dataset.full_init()
        infos = [self.dataset.get_data_info(index) for index in range(len(self.dataset))]
        self.infos = {str(info['img_path']): info for info in infos if 'img_path' in info}

    def image(self, path: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return read_image(path)[..., ::-1].copy()

    def truth(self, path: str) -> np.ndarray:
        """Class ids (H, W); of a clip those of the frame that is scored."""
        return self.dataset.pipeline(dict(self.infos[path]))['data_samples'].gt_sem_seg.data[0].numpy()


def draw_example(choice: Choice, runs: Sequence[Run], names: Sequence[str], images: TestImages) -> Example:
    """Image, truth, and the prediction of each run."""
    palette = images.dataset.metainfo['palette']
    tiles = [
        Tile('image', photograph(images.image(choice.image), _TILE)),
        Tile('truth', label_image(images.truth(choice.image), palette)),
    ]
    for run, name, score in zip(runs, names, choice.scores, strict=True):
        with Image.open(run.predictions / prediction_file(run, choice.image)) as file:
            labels = np.array(file)
        tiles.append(Tile(f'{name}: {score:.1f}', label_image(labels, palette)))
    # A page is UTF-8; names of files need not be.
    return Example(os.fsencode(Path(choice.image).name).decode(errors='replace'), choice, tiles)


def prediction_file(run: Run, image: str) -> str:
    """Name of the prediction of an image below the folder of the run's predictions.

    Raises:
        ValueError: the test did not keep the names, and several images could have it.
    """
    item = next(item for item in run.details['images'] if item['image'] == image)
    if 'prediction' in item:
        return item['prediction']
    stem = Path(image).stem
    if sum(Path(item['image']).stem == stem for item in run.details['images']) > 1:
        raise ValueError(
            f'several test images have the name {stem}, so that it is unknown whose prediction '
            f'{run.predictions / stem}.png is; test {run.folder} again'
        )
    return f'{stem}.png'
