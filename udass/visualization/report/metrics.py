"""Compute the numbers of a report: means over seeds, confusion matrices, images that gain and lose most."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from udass.evaluation.counts import ImageCounts
from udass.visualization.report.reading import Method, Run


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (n - 1; None for one value) over seeds."""

    mean: float
    std: float | None

    def text(self, digits: int = 1) -> str:
        spread = '' if self.std is None else f' ± {self.std:.{digits}f}'
        return f'{self.mean:.{digits}f}{spread}'


def spread(values: Iterable[object]) -> Spread | None:
    """Mean and deviation of the values that are numbers; None if none is."""
    numbers = [value for value in values if isinstance(value, int | float) and value == value]
    if not numbers:
        return None
    return Spread(statistics.mean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None)


def metric_of(method: Method, key: str) -> Spread | None:
    """A metric of the tests, e.g. ``mIoU``, in percent."""
    return spread(run.result.get(key) for run in method.runs)


def class_iou(method: Method, name: str, dataset: str | None = None) -> Spread | None:
    """IoU of one class in percent, on one of several test sets or their mean."""
    return spread(test_of(run, dataset).get('IoU', {}).get(name) for run in method.runs)


def test_of(run: Run, dataset: str | None) -> dict:
    """The test result of a run on one of several test sets, or all of it; empty without one."""
    return run.result if dataset is None else run.result.get('datasets', {}).get(dataset, {})


def dataset_names(methods: Sequence[Method]) -> list[str]:
    """Names of the test sets that are reported side by side, each once."""
    runs = [run for method in methods for run in method.runs]
    return list(dict.fromkeys(name for run in runs for name in run.result.get('datasets', {})))


def training_seconds(run: Run) -> float | None:
    """Seconds of training: of the whole process if they were measured, or of the iterations in the log."""
    if 'train_seconds' in run.result:
        return run.result['train_seconds']
    steps = [record for record in run.training if 'time' in record]
    lengths = np.diff([0, *(record['step'] for record in steps)])
    return float(sum(lengths * [record['time'] for record in steps])) if steps else None


def log_values(run: Run, key: str) -> list[float]:
    """All values of one scalar in the training log."""
    return [record[key] for record in run.training if key in record]


@dataclass(frozen=True)
class Confusion:
    """Shares in [0, 1] of each true class (rows) by predicted class, NaN in rows of classes without true pixels."""

    classes: list[str]
    shares: np.ndarray

    def largest(self, count: int = 10) -> list[tuple[str, str, float]]:
        """(true class, predicted class, share) of the largest shares off the diagonal."""
        shares = np.nan_to_num(self.shares)
        np.fill_diagonal(shares, 0)
        places = np.argsort(-shares, axis=None, kind='stable')[:count]
        pairs = [divmod(int(place), len(shares)) for place in places]
        names = self.classes
        return [(names[row], names[col], float(shares[row, col])) for row, col in pairs if shares[row, col]]


def confusion_of(method: Method) -> Confusion | None:
    """Confusion over all seeds together; None if no test kept it."""
    details = [run.details for run in method.runs if run.details.get('confusion')]
    if not details:
        return None
    total = np.sum([part['confusion'] for part in details], axis=0, dtype=np.float64)
    with np.errstate(invalid='ignore'):
        return Confusion(list(details[0]['classes']), total / total.sum(axis=1, keepdims=True))


def image_miou(run: Run) -> dict[str, float]:
    """mIoU in percent by image path, over the classes in the ground truth of the image."""
    images = run.details.get('images', [])
    return {item['image']: item['mIoU'] for item in images if None not in (item['image'], item['mIoU'])}


def counts_by_seed(method: Method) -> dict[int, ImageCounts]:
    """Pixel counts by seed of the runs whose tests kept them; a run that names no seed counts as seed 0."""
    return {run.result.get('seed', 0): run.counts for run in method.runs if run.counts is not None}


@dataclass(frozen=True)
class Choice:
    """An image to show, its mIoU in percent by run, and the gain of the last run over the first."""

    image: str
    miou: list[float]
    gain: float


def gains_and_losses(runs: Sequence[Run], count: int) -> tuple[list[Choice], list[Choice]]:
    """The images that gain and that lose most from the first run to the last, of images that all of them tested."""
    tables = [image_miou(run) for run in runs]
    shared = [image for image in tables[0] if all(image in table for table in tables)]
    scores = {image: [table[image] for table in tables] for image in shared}
    choices = [Choice(image, miou, miou[-1] - miou[0]) for image, miou in scores.items()]
    choices.sort(key=lambda choice: (-choice.gain, choice.image))
    gains = [choice for choice in choices if choice.gain > 0][:count]
    losses = [choice for choice in reversed(choices) if choice.gain < 0][:count]
    return gains, losses


def best_and_worst(run: Run, count: int) -> tuple[list[Choice], list[Choice]]:
    """The images with the highest and with the lowest mIoU, none of them twice."""
    ordered = sorted(image_miou(run).items(), key=lambda item: (-item[1], item[0]))
    choices = [Choice(image, [miou], 0.0) for image, miou in ordered]
    return choices[:count], choices[count:][::-1][:count]
