"""Numbers of the page: means over seeds, classes, confusions, images that gain and lose."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from udass.visualization.report.reading import Method, Run


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None for one value) of one number over seeds."""

    mean: float
    std: float | None
    count: int

    def text(self, digits: int = 1) -> str:
        spread = '' if self.std is None else f' ± {self.std:.{digits}f}'
        return f'{self.mean:.{digits}f}{spread}'


def spread(values: Iterable[float | None]) -> Spread | None:
    """Of the values that are there; None if none is."""
    present = [value for value in values if value is not None and not math.isnan(value)]
    if not present:
        return None
    return Spread(statistics.mean(present), statistics.stdev(present) if len(present) > 1 else None, len(present))


def scores_of(method: Method, key: str) -> Spread | None:
    """A number of the tests, e.g. ``mIoU``, in percent."""
    values = [run.result.get(key) for run in method.runs]
    return spread(value for value in values if isinstance(value, (int, float)))


def protocols_of(methods: Sequence[Method]) -> list[str]:
    """Further means that the tests report, such as ``mIoU16``."""
    found = {
        key: None
        for method in methods
        for run in method.runs
        for key, value in run.result.items()
        if key.startswith('mIoU') and key != 'mIoU' and isinstance(value, (int, float))
    }
    return list(found)


def classes_of(methods: Sequence[Method]) -> list[str]:
    """Names of the classes that the tests scored."""
    return list({name: None for method in methods for run in method.runs for name in run.result.get('IoU', {})})


def class_iou(method: Method, name: str) -> Spread | None:
    return spread(run.result.get('IoU', {}).get(name) for run in method.runs)


def training_seconds(run: Run) -> float | None:
    """Seconds of training: measured around the process, or else (without start and validation) from the log."""
    if 'train_seconds' in run.result:
        return run.result['train_seconds']
    steps = [record for record in run.training if 'time' in record]
    if not steps:
        return None
    before = [0, *(record['step'] for record in steps)]
    return sum((record['step'] - last) * record['time'] for record, last in zip(steps, before, strict=False))


def seconds_per_iteration(run: Run) -> float | None:
    times = [record['time'] for record in run.training if 'time' in record]
    return statistics.median(times) if times else None


def peak_memory(run: Run) -> float | None:
    """Largest GPU memory in MiB that the log has; None on a CPU, where it is not measured."""
    values = [record['memory'] for record in run.training if 'memory' in record]
    return max(values) if values else None


@dataclass(frozen=True)
class Confusion:
    """Shares in [0, 1] of each true class (rows) by predicted class, NaN rows for classes without true pixels."""

    classes: list[str]
    shares: np.ndarray

    def largest(self, count: int = 10) -> list[tuple[str, str, float]]:
        """(true class, predicted class, share) of the largest shares off the diagonal."""
        shares = np.nan_to_num(self.shares)
        np.fill_diagonal(shares, 0)
        places = np.argsort(-shares, axis=None, kind='stable')[:count]
        rows, columns = np.unravel_index(places, shares.shape)
        return [
            (self.classes[row], self.classes[column], float(shares[row, column]))
            for row, column in zip(rows, columns, strict=True)
            if shares[row, column] > 0
        ]


def confusion_of(method: Method) -> Confusion | None:
    """Of all seeds together; None if no test kept it."""
    matrices = [run.details for run in method.runs if run.details.get('confusion')]
    if not matrices:
        return None
    total = sum(np.asarray(details['confusion'], dtype=np.float64) for details in matrices)
    rows = total.sum(axis=1, keepdims=True)
    return Confusion(
        list(matrices[0]['classes']), np.divide(total, rows, out=np.full_like(total, np.nan), where=rows > 0)
    )


def image_scores(run: Run) -> dict[str, float]:
    """mIoU in percent by image path, over the classes in the truth of the image."""
    return {
        item['image']: item['mIoU']
        for item in run.details.get('images', [])
        if item['image'] is not None and item['mIoU'] is not None
    }


@dataclass(frozen=True)
class Choice:
    """An image to show: why, and its mIoU in percent by run; ``gain`` is that of the last run over the first."""

    image: str
    scores: list[float]
    gain: float


def gains_and_losses(runs: Sequence[Run], count: int) -> tuple[list[Choice], list[Choice]]:
    """The images that gain and that lose most from the first run to the last; of images that all of them scored."""
    scores = [image_scores(run) for run in runs]
    shared = [image for image in scores[0] if all(image in others for others in scores)]
    choices = [
        Choice(image, [part[image] for part in scores], scores[-1][image] - scores[0][image]) for image in shared
    ]
    ordered = sorted(choices, key=lambda choice: (-choice.gain, choice.image))
    gains = [choice for choice in ordered if choice.gain > 0][:count]
    losses = [choice for choice in reversed(ordered) if choice.gain < 0][:count]
    return gains, losses


def best_and_worst(run: Run, count: int) -> tuple[list[Choice], list[Choice]]:
    """The images with the highest and with the lowest scores, none of them twice."""
    scores = sorted(image_scores(run).items(), key=lambda item: (-item[1], item[0]))
    ordered = [Choice(image, [score], 0.0) for image, score in scores]
    best = ordered[:count]
    return best, [choice for choice in reversed(ordered) if choice not in best][:count]
