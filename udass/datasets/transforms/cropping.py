"""Random crops that no single class dominates and that contain a rare class."""

from collections.abc import Sequence
from math import floor

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import RandomCrop
from mmseg.registry import TRANSFORMS

# The search for a varied crop gives up after as many redraws and takes the last crop (DAFormer and mmseg).
_MAX_REDRAWS = 10
Box = tuple[int, int, int, int]


def window_counts(mask: np.ndarray, crop_size: tuple[int, int]) -> np.ndarray:
    """Pixels of a mask (H, W) bool, contiguous, in every window of ``crop_size`` (h, w), h <= H and w <= W: (H - h + 1,
    W - w + 1) int32, at (y, x) those of ``mask[y:y + h, x:x + w]``."""
    height, width = crop_size
    pixels = mask.view(np.uint8)
    # Windows as high as most crops share many rows: from one to the next a row enters and one leaves. To sum these
    # changes (with 1 added, as OpenCV sums bytes) reads and writes much less than to sum the mask.
    columns = cv2.reduce(pixels[:height], 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S)
    steps = len(pixels) - height
    counts = np.zeros((steps + 1, pixels.shape[1] - width + 1), np.int32)
    if steps > 0:
        sums = cv2.integral(pixels[height:] + np.uint8(1) - pixels[:steps])
        np.subtract(sums[:, width:], sums[:, :-width], out=counts)
        counts -= np.arange(0, width * steps + 1, width, dtype=np.int32)[:, None]
    sums = np.cumsum(np.append(0, columns[0]), dtype=np.int32)
    counts += sums[width:] - sums[:-width]
    return counts


def has_dominant_class(labels: np.ndarray, share: float, ignore_index: int) -> bool:
    """Whether one class covers ``share`` (in (0, 1)) or more of the labelled pixels of a map (H, W), or none is
    labelled."""
    rest = labels.size - np.count_nonzero(labels == ignore_index)
    limit = share * rest
    # Most frequent first, by a sample: after one or two classes, what is left is too little for another.
    sample = np.bincount(labels[::8, ::8].ravel(), minlength=256)
    for label in np.argsort(-sample):
        if rest < limit:
            return False
        if label == ignore_index:
            continue
        count = np.count_nonzero(labels == label)
        if count >= limit:
            return True
        rest -= count
    return False


@TRANSFORMS.register_module()
class RareClassCrop(RandomCrop):
    """Random crop with mmseg's limit on the share of one class and DAFormer's preference for a rare class.

    If the sample carries ``rare_class`` and ``rare_class_min_pixels`` (``RareClassDataset``, ``LongTailDataset``), the
    crop is drawn among the windows that have more than so many pixels of that class, all equally likely; DAFormer draws
    anywhere up to 10 times until it hits one of them. Where no window has enough, it is drawn among all.
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
    def crop_bbox(self, results: dict) -> Box:
        """Draw the crop (y1, y2, x1, x2) in pixels of the image, upper ends excluded."""
        height, width = results['img'].shape[:2]
        if height < self.crop_size[0] or width < self.crop_size[1]:
            raise ValueError(
                f'{results.get("img_path", "an image")} is {width}x{height} pixels (width x height) when '
                f'it reaches the crop of {self.crop_size[1]}x{self.crop_size[0]}: choose a smaller '
                'crop_size, or a larger scale in the Resize before the crop'
            )
        labels, places = results.get('gt_seg_map'), None
        if labels is not None and results.get('rare_class') is not None:
            counts = window_counts(labels == results['rare_class'], self.crop_size)
            # Whole numbers against a whole number: no copy in floating point.
            places = np.flatnonzero(counts > floor(results['rare_class_min_pixels']))
        box = self._draw(height, width, places)
        if labels is None or self.cat_max_ratio >= 1:
            return box
        for _ in range(_MAX_REDRAWS):
            if not has_dominant_class(self.crop(labels, box), self.cat_max_ratio, self.ignore_index):
                break
            box = self._draw(height, width, places)
        return box

    def _draw(self, height: int, width: int, places: np.ndarray | None) -> Box:
        """Draw a crop whose upper left corner is one of ``places``, counted row by row; anywhere without them."""
        rows, columns = height - self.crop_size[0] + 1, width - self.crop_size[1] + 1
        if places is None or places.size == 0:
            top, left = np.random.randint(0, rows), np.random.randint(0, columns)
        else:
            top, left = divmod(int(places[np.random.randint(0, places.size)]), columns)
        return top, top + self.crop_size[0], left, left + self.crop_size[1]
