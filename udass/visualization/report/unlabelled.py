"""Read from runs what can be seen of them without labels: scores of validations, agreement of runs, pseudo-labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from udass.evaluation.unlabelled import UNLABELLED, ensemble_agreement, rank_correlation
from udass.visualization.report.reading import Method, Run

# Images on which runs vote, evenly chosen: the vote of all takes minutes on large test sets.
_IMAGES = 100
_ENSEMBLE = 'agreement with the vote of all runs, percent'
_SMALLEST_NUMBER = 3
_PSEUDO_LABELS = {
    'share': 'share of the pixels',
    'confident': 'of these confident',
    'accuracy': 'right',
    'confident_accuracy': 'of the confident ones right',
    'ece': 'calibration error',
}


class Scores(NamedTuple):
    """Scores of runs without labels.

    Attributes:
        names: of the scores that any run has.
        runs: (run, mIoU of its test, its values, None where it has none).
        correlations: of each score with the mIoU over the runs that have both, None for fewer than three.
    """

    names: list[str]
    runs: list[tuple[str, float | None, list[float | None]]]
    correlations: list[float | None]


class PseudoLabels(NamedTuple):
    """Pseudo-labels by predicted class, in percent: the newest values in the log of a run.

    Attributes:
        method, step: whose, and at which iteration.
        titles: of the columns.
        rows: (class, value in each column or None).
    """

    method: str
    step: int
    titles: list[str]
    rows: list[tuple[str, list[float | None]]]


def scores_of(methods: Sequence[Method]) -> Scores | None:
    """Scores of all runs without labels; None if no run has any."""
    runs = [
        (method.name if len(method.runs) == 1 else f'{method.name}, {run.folder.name}', run)
        for method in methods
        for run in method.runs
    ]
    agreement = agreement_of([run for _, run in runs])
    found = []
    for (name, run), agreed in zip(runs, agreement, strict=True):
        last = run.validations[-1] if run.validations else {}
        values = {score: run.result.get(score, last.get(score)) for score in UNLABELLED}
        found.append((name, run.result.get('mIoU'), {**values, _ENSEMBLE: agreed}))
    names = [name for name in (*UNLABELLED, _ENSEMBLE) if any(values[name] is not None for _, _, values in found)]
    if not names:
        return None
    correlations = []
    for name in names:
        pairs = [(values[name], miou) for _, miou, values in found if None not in (values[name], miou)]
        enough = len(pairs) >= _SMALLEST_NUMBER
        correlations.append(rank_correlation(*zip(*pairs, strict=True)) if enough else None)
    rows = [(run, miou, [values[name] for name in names]) for run, miou, values in found]
    return Scores(names, rows, correlations)


def agreement_of(runs: Sequence[Run]) -> list[float | None]:
    """Agreement of each run with the vote of all that have predictions, on images that all of them predicted; None for
    runs without predictions, and if there are fewer than three."""
    voters = [run for run in runs if run.predictions is not None]
    folders = [run.predictions for run in voters]
    files = [{path.relative_to(folder).as_posix() for path in folder.rglob('*.png')} for folder in folders]
    shared = sorted(set.intersection(*files)) if len(voters) >= _SMALLEST_NUMBER else []
    if not shared:
        return [None] * len(runs)
    chosen = [shared[number * len(shared) // min(_IMAGES, len(shared))] for number in range(min(_IMAGES, len(shared)))]
    by_image = []
    for name in chosen:
        predictions = [_read(run, name) for run in voters]
        classes = 1 + max(int(prediction.max()) for prediction in predictions)
        by_image.append(ensemble_agreement(predictions, classes))
    means = dict(zip(map(id, voters), np.mean(by_image, axis=0).tolist(), strict=True))
    return [means.get(id(run)) for run in runs]


def _read(run: Run, name: str) -> np.ndarray:
    with Image.open(run.predictions / name) as file:
        return np.array(file)


def pseudo_labels_of(methods: Sequence[Method]) -> list[PseudoLabels]:
    """Of each method the newest pseudo-labels in the log of its first run that has them, by predicted class."""
    found = []
    for method in methods:
        for run in method.runs:
            records = [one for one in run.training if any(key.startswith('pseudo_labels.share.') for key in one)]
            if records:
                found.append(_pseudo_labels(method.name, records[-1]))
                break
    return found


def _pseudo_labels(method: str, record: dict) -> PseudoLabels:
    table: dict[str, dict[str, float]] = {}
    for key, value in record.items():
        kind, _, rest = key.partition('.')
        score, _, name = rest.partition('.')
        if kind == 'pseudo_labels' and name and score in _PSEUDO_LABELS:
            table.setdefault(name, {})[score] = 100 * value
    present = [score for score in _PSEUDO_LABELS if any(score in values for values in table.values())]
    rows = [(name, [values.get(score) for score in present]) for name, values in table.items()]
    return PseudoLabels(method, record['step'], [_PSEUDO_LABELS[score] for score in present], rows)
