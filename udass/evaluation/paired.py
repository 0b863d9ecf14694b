"""Paired differences between two methods that were tested on the same images, with intervals over images and seeds.

Shapes: S seeds, N images, C classes, R resamples, K = C + 2 scores: IoU by class, mIoU, and mIoU of the worst images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch

from udass.evaluation.counts import ImageCounts
from udass.evaluation.iou import class_iou

# The share of the images whose mean is reported as that of the worst.
_WORST = 0.1


@dataclass(frozen=True)
class Difference:
    """A difference of two scores in percentage points, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``better`` or ``worse`` where the interval excludes 0, else ``undecided``."""
        return 'better' if self.low > 0 else 'worse' if self.high < 0 else 'undecided'

    def text(self) -> str:
        return f'{self.value:+.1f} [{self.low:+.1f}, {self.high:+.1f}]'

    def to_dict(self) -> dict:
        """For JSON."""
        numbers = {name: round(value, 3) for name, value in vars(self).items()}
        return {'difference': numbers['value'], 'interval': [numbers['low'], numbers['high']], 'verdict': self.verdict}


@dataclass(frozen=True)
class Comparison:
    """What a method gains over another.

    Attributes:
        seeds: how many seeds were compared.
        miou: difference of the mIoU of the whole test set, or of the mean mIoU of several; the others likewise.
        worst: difference of the mean mIoU of the worst tenth of the images, each method's own.
        iou: differences by class; without the classes that the truth does not contain.
    """

    seeds: int
    miou: Difference
    worst: Difference
    iou: dict[str, Difference]

    def to_dict(self) -> dict:
        """For JSON."""
        by_class = {name: difference.to_dict() for name, difference in self.iou.items()}
        return {'seeds': self.seeds, 'mIoU': self.miou.to_dict(), 'worst_tenth': self.worst.to_dict(), 'IoU': by_class}


def compare(
    first: Sequence[ImageCounts], second: Sequence[ImageCounts], resamples: int = 2000, seed: int = 0
) -> Comparison:
    """What the second method gains over the first.

    The mIoU of a test set is no mean over its images, so that the variance over images is that of a bootstrap: images
    are drawn with replacement, the same for both methods and all seeds, and their counts are added. The variance over
    seeds is that of the differences by seed. The interval is Student's with the degrees of freedom of Welch and
    Satterthwaite; one seed leaves the variance over seeds unknown, and the interval is one over images alone.

    Args:
        first, second: counts by seed, in the same order of the seeds.
        resamples: R.
        seed: of the drawn images.

    Raises:
        ValueError: the methods have different numbers of seeds, or the tests differ in images or classes.
    """
    from scipy.stats import t

    tests = [*first, *second]
    if len(first) != len(second) or not tests or not all(tests[0].is_of_the_same_test(test) for test in tests):
        raise ValueError(
            f'tests of {len(first)} and {len(second)} seeds cannot be paired: each seed of both methods must be tested '
            'on the same images and classes'
        )
    seeds, images = len(first), len(tests[0].images)
    places, generator = tests[0].places(), np.random.default_rng(seed)
    drawn = np.zeros((resamples, images))
    for part in places:
        # As many of each test set as it has.
        drawn[:, part] = generator.multinomial(len(part), np.full(len(part), 1 / len(part)), size=resamples)
    counts = [np.stack([test.confusion for test in part]).astype(np.float64) for part in (first, second)]
    whole, resampled = (
        _mean_scores(counts[1], weights, places) - _mean_scores(counts[0], weights, places)
        for weights in (np.ones((1, images)), drawn)
    )
    by_seed = whole[0]  # (S, K)
    # A class may occur in no image of a resample.
    over_images = np.ma.masked_invalid(resampled.mean(1)).var(0).filled(np.nan)
    over_seeds = by_seed.var(0, ddof=1) / seeds if seeds > 1 else np.zeros(by_seed.shape[1])
    variance = over_images + over_seeds
    with np.errstate(invalid='ignore', divide='ignore'):
        freedom = variance**2 / (over_images**2 / max(images - 1, 1) + over_seeds**2 / max(seeds - 1, 1))
    half = np.where(variance > 0, t.ppf(0.975, freedom) * np.sqrt(variance), 0)
    values = by_seed.mean(0)
    differences = [Difference(*map(float, part)) for part in zip(values, values - half, values + half, strict=True)]
    classes = zip(tests[0].classes, differences, strict=False)
    present = {name: difference for name, difference in classes if not np.isnan(difference.value)}
    return Comparison(seeds, differences[-2], differences[-1], present)


def _mean_scores(confusion: np.ndarray, weights: np.ndarray, places: Sequence[np.ndarray]) -> np.ndarray:
    """Means of the weighted scores over the test sets that have them: (R, S, K); ``places`` as of `ImageCounts`."""
    scores = [weighted_scores(confusion[:, part], weights[:, part]) for part in places]
    return np.ma.masked_invalid(scores).mean(0).filled(np.nan)


def weighted_scores(confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Scores in percent of weighted images: (R, S, K), NaN for classes that the truth of these images lacks, of counts
    (S, N, C, C) by seed and image and weights (R, N), how often each image counts."""
    seeds, images, classes = confusion.shape[:3]
    flat = confusion.transpose(1, 0, 2, 3).reshape(images, -1)
    iou = _iou((weights @ flat).reshape(-1, seeds, classes, classes))
    by_image = np.ma.masked_invalid(_iou(confusion)).mean(-1)
    worst = np.stack([_mean_of_lowest(one, weights) for one in by_image], axis=1)
    mean = np.ma.masked_invalid(iou).mean(-1).filled(np.nan)
    return np.concatenate([iou, mean[..., None], worst[..., None]], axis=-1)


def worst_tenth(counts: ImageCounts) -> float:
    """Mean in percent over the tenth of the images with the lowest mIoU; images without labels do not count."""
    confusion = counts.confusion[None].astype(np.float64)
    return float(_mean_scores(confusion, np.ones((1, len(counts.images))), counts.places())[0, 0, -1])


def _iou(confusion: np.ndarray) -> np.ndarray:
    return 100 * class_iou(torch.from_numpy(confusion)).numpy()


def _mean_of_lowest(scores: np.ma.MaskedArray, weights: np.ndarray) -> np.ndarray:
    """Mean of the lowest tenth of scores (N,), each counted as often as its weight says (R, N): (R,)."""
    order = np.argsort(scores.filled(np.inf))[: scores.count()]
    ordered, often = scores.data[order], weights[:, order]
    before = np.cumsum(often, axis=1) - often
    number = _WORST * often.sum(1, keepdims=True)
    used = np.clip(number - before, 0, often)
    with np.errstate(invalid='ignore'):
        return (used @ ordered) / used.sum(1)


def compare_all(tests: Mapping[str, Mapping[int, ImageCounts]]) -> dict[tuple[str, str], Comparison]:
    """(method, earlier method) -> what the first gains over the second, for all pairs with seeds in common; ``tests``
    are method -> seed -> counts, and those on other images or classes are no pair."""
    found = {}
    for (one, first), (other, second) in combinations(tests.items(), 2):
        shared = [seed for seed in first if seed in second]
        parts = [[part[seed] for seed in shared] for part in (first, second)]
        if shared and all(parts[0][0].is_of_the_same_test(test) for part in parts for test in part):
            found[other, one] = compare(*parts)
    return found
