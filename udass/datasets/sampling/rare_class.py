"""Rare-class sampling of the source domain (DAFormer, arXiv 2111.14887, section 3.2)."""

import numpy as np
from mmseg.datasets import BaseSegDataset
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import DATASETS
from torch.utils.data import Dataset

from udass.datasets.sampling.statistics import class_statistics
from udass.datasets.sampling.streams import SampleKey, SeededDataset
from udass.datasets.sampling.wrappers import label_folders, plain_datasets
from udass.datasets.transforms import RareClassCrop


def class_probabilities(frequencies: np.ndarray, temperature: float) -> np.ndarray:
    """Probability of drawing each class, (C,) float64: P(c) = softmax over c of (1 - f_c) / temperature.

    Args:
        frequencies: (C,) share of each class among all labelled pixels.
        temperature: > 0; the smaller, the more the rarest classes are drawn (DAFormer: 0.01).
    """
    if temperature <= 0:
        raise ValueError(f'the temperature of rare-class sampling must be larger than 0, got {temperature}')
    logits = (1 - np.asarray(frequencies, dtype=np.float64)) / temperature
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()


def require_crop_search(dataset: Dataset, owner: str) -> None:
    """Raises ValueError if a pipeline crops without looking for the class that a wrapper draws, and TypeError if the
    data set is none of mmseg."""
    for inner in plain_datasets(dataset, owner):
        if not isinstance(inner, BaseSegDataset):
            raise TypeError(
                f'{owner} needs a data set with labels of classes (a UDADataset or one of mmseg), got '
                f'{type(inner).__name__}'
            )
        for transform in inner.pipeline.transforms:
            if isinstance(transform, RandomCrop) and not isinstance(transform, RareClassCrop):
                raise ValueError(
                    f'{owner}: the pipeline of {type(inner).__name__} crops with {type(transform).__name__}, which '
                    'does not look for the drawn class: use RareClassCrop'
                )


@DATASETS.register_module()
class RareClassDataset(SeededDataset):
    """Draws a class, the rarer the likelier, then a file with more than ``min_pixels`` pixels of it.

    The sample carries ``rare_class`` (train id) and ``rare_class_min_pixels`` for ``RareClassCrop``; the image is
    decoded once (the reference decodes it again for every try). A class that no file has enough of is never drawn and
    the other probabilities grow in proportion.

    Args:
        dataset: config of a labelled data set of this project or of mmseg, or the data set; see ``SeededDataset``.
        temperature: see ``class_probabilities``.
        min_pixels: pixels of the class that a file must exceed. An absolute number in the reference, made for
            1914x1052; see ``reference_size``.
        crop_fraction: the crop must exceed ``crop_fraction * min_pixels`` (reference: 0.5 for crops of 512 from
            1280x720, 2 for crops of 1024 from 2560x1440).
        reference_size: (width, height) for which ``min_pixels`` is meant; it is then scaled with the area of each
            label file. None = absolute.
        cache_folder: see ``class_statistics``.
    """

    def __init__(
        self,
        dataset: dict | Dataset,
        temperature: float = 0.01,
        min_pixels: int = 3000,
        crop_fraction: float = 0.5,
        reference_size: tuple[int, int] | None = None,
        cache_folder: str | None = None,
    ) -> None:
        super().__init__(dataset)
        require_crop_search(self.dataset, type(self).__name__)
        statistics = class_statistics(self.dataset, cache_folder)
        scales = np.ones(len(self.dataset))
        if reference_size is not None:
            scales = statistics.areas() / (reference_size[0] * reference_size[1])
        # (F,) pixels that each file must exceed, and its crop.
        self._thresholds = min_pixels * scales
        self._crop_fraction = crop_fraction
        enough = statistics.pixels > self._thresholds[:, None]
        self._files_of_class = [np.flatnonzero(column) for column in enough.T]
        if not enough.any():
            raise ValueError(
                f'no label in {label_folders(self.dataset)} has more than {min_pixels} pixels of any class: choose a '
                'smaller min_pixels, or give reference_size to scale it with the area'
            )
        drawable = np.where(enough.any(axis=0), class_probabilities(statistics.frequencies(), temperature), 0)
        if drawable.sum() == 0:
            raise ValueError(
                'the classes that have enough pixels are so frequent that their probability is 0: choose a higher '
                'temperature or a smaller min_pixels'
            )
        self.probabilities = drawable / drawable.sum()

    def get_data_info(self, draw: SampleKey) -> dict:
        """Data info of a file that has the drawn class."""
        generator = draw.generator()
        rare_class = int(generator.choice(len(self.probabilities), p=self.probabilities))
        index = int(generator.choice(self._files_of_class[rare_class]))
        info = self.info_at(index)
        info['rare_class'] = rare_class
        info['rare_class_min_pixels'] = float(self._crop_fraction * self._thresholds[index])
        return info
