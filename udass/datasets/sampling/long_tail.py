"""Source images of rare classes, which QuadMix pastes into its mixes (arXiv 2311.13254)."""

from collections.abc import Sequence

import numpy as np
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from udass.datasets.base.metainfo import check_metainfo
from udass.datasets.sampling.rare_class import require_crop_search
from udass.datasets.sampling.statistics import class_statistics
from udass.datasets.sampling.streams import SampleKey, SeededDataset
from udass.datasets.sampling.wrappers import label_folders, plain_datasets


@DATASETS.register_module()
class LongTailDataset(SeededDataset):
    """Each sample is a source image with more than ``min_pixels`` of a rare class, cropped to hold it.

    ``images_per_draw`` consecutive samples share one drawn class, each with an image of its own: as many as one draw
    needs for all images and mixes of a batch. The ``draws`` of an iteration are drawn without replacement from a list
    that holds each class as often as its weight; where there are more draws than entries, the list starts again.

    The sample carries ``paste_class`` (train id), and ``rare_class`` with ``rare_class_min_pixels`` for
    ``RareClassCrop``. A rare class of which no file has enough is left out. Clips are stills: all their frames are
    frame t.

    Args:
        dataset: config of the labelled source data set, or the data set; see ``RareClassDataset``.
        classes: list of dict(name, weight, min_pixels). None = the ``rare_classes`` of the data set.
        draws: rare classes per iteration, >= 1.
        images_per_draw: >= 1.
        cache_folder: see ``class_statistics``.

    Raises:
        ValueError: no list of rare classes, a name that is no class, or not one image with enough of any of them.
    """

    def __init__(
        self,
        dataset: dict | Dataset,
        classes: Sequence[dict] | None = None,
        draws: int = 1,
        images_per_draw: int = 1,
        cache_folder: str | None = None,
    ) -> None:
        super().__init__(dataset)
        name = type(self).__name__
        require_crop_search(self.dataset, name)
        for inner in plain_datasets(self.dataset, name):
            if any(isinstance(transform, PackSegInputs) for transform in inner.pipeline.transforms):
                raise ValueError(
                    f'{name}: PackSegInputs in the pipeline of {type(inner).__name__} drops the class to '
                    'paste: use PackUDAInputs'
                )
        if draws < 1 or images_per_draw < 1:
            raise ValueError(f'{name}: draws and images_per_draw must be at least 1, got {draws}, {images_per_draw}')
        metainfo = self.dataset.metainfo
        classes = metainfo.get('rare_classes') if classes is None else classes
        if not classes:
            raise ValueError(
                f'{name}: the metainfo of {type(self.dataset).__name__} has no rare_classes. Add them to '
                'it as list of dict(name=..., weight=..., min_pixels=...), or give `classes`'
            )
        check_metainfo(dict(metainfo, rare_classes=classes), name)
        self.draws, self.images_per_draw = draws, images_per_draw
        pixels = class_statistics(self.dataset, cache_folder).pixels
        # Train id, files that hold it, and the pixels that they exceed; as often as the weight.
        self._choices: list[tuple[int, np.ndarray, float]] = []
        for entry in classes:
            train_id = list(metainfo['classes']).index(entry['name'])
            files = np.flatnonzero(pixels[:, train_id] > entry['min_pixels'])
            if files.size:
                self._choices += [(train_id, files, float(entry['min_pixels']))] * int(entry['weight'])
        if not self._choices:
            raise ValueError(
                f'{name}: no label in {label_folders(self.dataset)} has enough pixels of any of the rare '
                f'classes {[entry["name"] for entry in classes]}: choose a smaller min_pixels'
            )

    def get_data_info(self, draw: SampleKey) -> dict:
        """Data info of an image of the class that its group of draws shares."""
        order = draw.group_generator(self.draws * self.images_per_draw).permutation(len(self._choices))
        number = draw.number // self.images_per_draw % self.draws
        train_id, files, min_pixels = self._choices[order[number % len(order)]]
        info = self.info_at(int(draw.generator().choice(files)))
        if 'frame_paths' in info:
            # Pasted without motion: frames of a clip that are one and the same file are read once and have no flow.
            for key in ('frame_paths', 'label_paths'):
                info[key] = [info[key][0]] * len(info[key])
        info.update(paste_class=train_id, rare_class=train_id, rare_class_min_pixels=min_pixels)
        return info
