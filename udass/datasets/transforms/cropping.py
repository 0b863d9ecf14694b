"""Random crops that are not filled by one class and that show a wanted one."""
from collections.abc import Sequence

import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import TRANSFORMS

# Both searches give up after as many redraws and take the last crop (DAFormer and mmseg).
_MAX_REDRAWS = 10


@TRANSFORMS.register_module()
class RareClassCrop(RandomCrop):
    """Random crop with mmseg's limit on the share of one class and DAFormer's search for a rare class.

    If the sample carries ``rare_class`` and ``rare_class_min_pixels`` (``RareClassDataset``, ``LongTailDataset``), the
    crop is redrawn up to 10 times until it has more than so many pixels of that class; the image is not read again.
    Without labels (target domain) it is a plain random crop.

    Args:
        crop_size: (height, width) in pixels, or one number for a square.
        cat_max_ratio: the largest class may cover less than this share of the labelled pixels of the crop (redrawn up
            to 10 times); 1 = no limit.
        ignore_index: label that does not count as a class.

    Raises:
        ValueError: the image is smaller than the crop.
    """

    def __init__(self, crop_size: int | Sequence[int], cat_max_ratio: float = 1.0, ignore_index: int = 255) -> None:
        size = crop_size if isinstance(crop_size, int) else tuple(crop_size)
        super().__init__(crop_size=size, cat_max_ratio=cat_max_ratio, ignore_index=ignore_index)

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Draw the crop.

        Returns:
            (y1, y2, x1, x2) in pixels of the image, upper ends excluded.
        """
        height, width = results['img'].shape[:2]
        if height < self.crop_size[0] or width < self.crop_size[1]:
            raise ValueError(f"{results.get('img_path', 'an image')} is {width}x{height} pixels (width x height) when "
                             f'it reaches the crop of {self.crop_size[1]}x{self.crop_size[0]}: choose a smaller '
                             'crop_size, or a larger scale in the Resize before the crop')
        labels = results.get('gt_seg_map')
        if labels is None:
            return self._draw(height, width)
        box = self._draw_varied(labels)
        rare_class = results.get('rare_class')
        if rare_class is not None:
            for _ in range(_MAX_REDRAWS):
                if np.count_nonzero(self.crop(labels, box) == rare_class) > results['rare_class_min_pixels']:
                    break
                box = self._draw_varied(labels)
        return box

    def _draw(self, height: int, width: int) -> tuple[int, int, int, int]:
        """A crop anywhere in the image."""
        top = np.random.randint(0, height - self.crop_size[0] + 1)
        left = np.random.randint(0, width - self.crop_size[1] + 1)
        return top, top + self.crop_size[0], left, left + self.crop_size[1]

    def _draw_varied(self, labels: np.ndarray) -> tuple[int, int, int, int]:
        """A crop in which, if one is found, no class covers ``cat_max_ratio`` or more."""
        box = self._draw(*labels.shape)
        if self.cat_max_ratio >= 1:
            return box
        for _ in range(_MAX_REDRAWS):
            # Counting beats sorting (np.unique) by far on the large crops of the real data sets.
            counts = np.bincount(self.crop(labels, box).ravel(), minlength=self.ignore_index + 1)
            counts[self.ignore_index] = 0
            if np.count_nonzero(counts) > 1 and counts.max() < self.cat_max_ratio * counts.sum():
                break
            box = self._draw(*labels.shape)
        return box

    def __repr__(self) -> str:
        return (f'{type(self).__name__}(crop_size={self.crop_size}, cat_max_ratio={self.cat_max_ratio}, '
                f'ignore_index={self.ignore_index})')
