"""Source images of rare classes, which QuadMix pastes into its mixes (arXiv 2311.13254)."""
from collections.abc import Sequence

import numpy as np
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from .base import check_metainfo
from .rare_class import require_crop_search
from .streams import Draw, DrawnDataset
from .wrapping import label_folders, label_statistics, plain_datasets


@DATASETS.register_module()
class LongTailDataset(DrawnDataset):
    """Each sample is a source image with more than ``min_pixels`` of a rare class, cropped to show it.

    ``images_per_draw`` consecutive samples share one drawn class, each with an image of its own: as many as one draw
    needs for all images and mixes of a batch. The sample carries ``paste_class`` (train id), and ``rare_class`` with
    ``rare_class_min_pixels`` for ``RareClassCrop``. A rare class of which no file has enough is left out. Clips are
    stills: all their frames are frame t.

    Args:
        dataset: config of the labelled source data set, or the data set; see ``RareClassDataset``.
        classes: list of dict(name, weight, min_pixels); classes are drawn in proportion to their weights. None = the
            ``rare_classes`` of the data set.
        images_per_draw: >= 1.
        cache_folder: see ``class_statistics``.

    Raises:
        ValueError: no list of rare classes, a name that is no class, or not one image with enough of any of them.
    """

    def __init__(self, dataset: dict | Dataset, classes: Sequence[dict] | None = None, images_per_draw: int = 1,
                 cache_folder: str | None = None) -> None:
        super().__init__(dataset)
        name = type(self).__name__
        require_crop_search(self.dataset, name)
        for inner in plain_datasets(self.dataset, name):
            if any(isinstance(transform, PackSegInputs) for transform in inner.pipeline.transforms):
                raise ValueError(f'{name}: PackSegInputs in the pipeline of {type(inner).__name__} drops the class to '
                                 'paste: use PackUDAInputs')
        if images_per_draw < 1:
            raise ValueError(f'{name}: images_per_draw must be 1 or larger, got {images_per_draw}')
        metainfo = self.dataset.metainfo
        classes = metainfo.get('rare_classes') if classes is None else classes
        if not classes:
            raise ValueError(f'{name}: the metainfo of {type(self.dataset).__name__} has no rare_classes. Add them to '
                             'it as list of dict(name=..., weight=..., min_pixels=...), or give `classes`')
        check_metainfo(dict(metainfo, rare_classes=classes), name)
        self.images_per_draw = images_per_draw
        pixels = label_statistics(self.dataset, cache_folder).pixels
        self._choices: list[tuple[int, np.ndarray, float]] = []
        weights = []
        for entry in classes:
            train_id = list(metainfo['classes']).index(entry['name'])
            files = np.flatnonzero(pixels[:, train_id] > entry['min_pixels'])
            if files.size:
                self._choices.append((train_id, files, float(entry['min_pixels'])))
                weights.append(entry['weight'])
        if not self._choices:
            raise ValueError(f'{name}: no label in {label_folders(self.dataset)} has enough pixels of any of the rare '
                             f'classes {[entry["name"] for entry in classes]}: choose a smaller min_pixels')
        self._probabilities = np.array(weights, dtype=np.float64) / sum(weights)

    def describe(self, draw: Draw) -> dict:
        """Data info of an image of the class that its group of draws shares."""
        choice = draw.group_generator(self.images_per_draw).choice(len(self._choices), p=self._probabilities)
        train_id, files, min_pixels = self._choices[int(choice)]
        info = self.info_at(int(draw.generator().choice(files)))
        if 'frame_paths' in info:
            # Pasted without motion: frames of a clip that are one and the same file are read once and have no flow.
            for key in ('frame_paths', 'label_paths'):
                info[key] = [info[key][0]] * len(info[key])
        info.update(paste_class=train_id, rare_class=train_id, rare_class_min_pixels=min_pixels)
        return info
