"""Fill the template of the report."""

import datetime
import inspect
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape
from mmengine.dataset import ConcatDataset
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from PIL import Image

import udass
from udass.evaluation.paired import Comparison, Difference, compare_all, worst_tenth
from udass.io.settings import flat_settings
from udass.visualization.pages import image_uri, templates
from udass.visualization.report import curves, metrics, unlabelled
from udass.visualization.report.examples import find_examples
from udass.visualization.report.metrics import Spread
from udass.visualization.report.reading import Method

_SUMMARY = {'mean_recall': 'mean recall', 'pixel_accuracy': 'pixel accuracy'}
_ABOUT_TEST = {
    'checkpoint': 'tested checkpoint',
    'branch': 'tested network',
    'images': 'test images',
    'machine': 'machine',
    'code': 'commit',
}
# Settings of the runner that differ between any two runs, or say nothing of the method.
_NOT_COMPARED = {'work_dir', 'launcher', 'resume', 'custom_imports', 'visualizer'}


class ClassRow(NamedTuple):
    """A class in the table of IoU: its IoU by method, and the gain from the first of two methods to the second, with
    its interval where the tests kept their pixel counts."""

    name: str
    values: list[Spread | None]
    gain: float | None
    difference: Difference | None


def render_report(
    methods: Sequence[Method], open_dataset: Callable[[dict], BaseSegDataset | ConcatDataset], examples: int = 3
) -> str:
    """The HTML page of one method or of several, with ``examples`` images that gain most and as many that lose most,
    from the first to the last; it needs no other file and no network. ``open_dataset`` makes the test data set from the
    stored config of a run."""
    names = [method.name for method in methods]
    configs = [method.runs[0].config for method in methods]
    comparisons = compare_all({method.name: metrics.counts_by_seed(method) for method in methods})
    confusions = [(method.name, metrics.confusion_of(method)) for method in methods]
    return templates('report.html').render(
        title=', '.join(names),
        names=names,
        breakable=breakable,
        version=udass.__version__,
        series=curves.SERIES,
        date=datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M'),
        several=any(len(method.runs) > 1 for method in methods),
        summary=summary_table(methods),
        missing=missing_of(methods),
        curves=[*curves.validation_curves(methods), *curves.training_curves(methods)],
        comparisons=comparisons,
        scores=unlabelled.scores_of(methods),
        pseudo_labels=unlabelled.pseudo_labels_of(methods),
        classes=class_tables(methods, [*comparisons.values()] if len(methods) == 2 else []),
        confusions=[(name, confusion) for name, confusion in confusions if confusion is not None],
        examples=find_examples(methods, examples, open_dataset),
        panels=panels_of(methods),
        differences=differences(configs),
        configs=[(name, runner_settings(config)) for name, config in zip(names, configs, strict=True) if config],
        environments=environment_table(methods),
    )


def breakable(name: str) -> Markup:
    """A name that may be broken after ``_`` and ``/``, to fit into a narrow column."""
    return Markup(str(escape(name)).replace('_', '_<wbr>').replace('/', '/<wbr>'))


def summary_table(methods: Sequence[Method]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: metrics, iterations, time and memory of each method; empty columns are left out."""
    keys = [key for method in methods for run in method.runs for key in run.result]
    titles = dict.fromkeys(['mIoU', *(key for key in keys if key.startswith('mIoU'))])
    rows = []
    for method in methods:
        runs = method.runs
        seeds = [metrics.spread([run.result.get('mIoU')]) for run in runs]
        minutes = metrics.spread(seconds / 60 for run in runs if (seconds := metrics.training_seconds(run)) is not None)
        times = [statistics.median(found) for run in runs if (found := metrics.log_values(run, 'time'))]
        memory = [max(found) / 1024 for run in runs if (found := metrics.log_values(run, 'memory'))]
        row = {title: _text(metrics.metric_of(method, title)) for title in titles}
        row['by seed'] = ', '.join(map(_text, seeds)) if any(len(other.runs) > 1 for other in methods) else '-'
        row |= {title: _text(metrics.metric_of(method, key)) for key, title in _SUMMARY.items()}
        worst = metrics.spread(map(worst_tenth, metrics.counts_by_seed(method).values()))
        row |= {
            'worst tenth of images': _text(worst),
            'seeds': str(len(runs)),
            'iterations': _iterations(method),
            'minutes of training': _text(minutes),
            'seconds per iteration': _text(metrics.spread(times), 2),
            'GPU memory, GiB': _text(metrics.spread(memory)),
        }
        rows.append(row)
    head = [title for title in rows[0] if any(row[title] != '-' for row in rows)]
    return head, [[row[title] for title in head] for row in rows]


def _text(value: Spread | None, digits: int = 1) -> str:
    return '-' if value is None else value.text(digits)


def _iterations(method: Method) -> str:
    done = sorted({run.training[-1]['step'] for run in method.runs if run.training})
    return ' to '.join(f'{count:,}' for count in dict.fromkeys([done[0], done[-1]])) if done else '-'


def missing_of(methods: Sequence[Method]) -> list[tuple[str, list[str], str]]:
    """(run, what it lacks, the command that makes it or ''); one run of a method with predictions is enough."""
    found: dict[tuple[str, str], list[str]] = {}
    for method in methods:
        with_examples = any(run.predictions is not None for run in method.runs)
        for number, run in enumerate(method.runs):
            name = method.name if len(method.runs) == 1 else f'{method.name}, {run.folder.name}'
            for what, command in run.missing.items():
                optional = what.startswith('predictions') and (with_examples or number)
                if not optional and not (what.startswith('training panels') and number):
                    found.setdefault((name, command), []).append(what)
    return [(name, what, command) for (name, command), what in found.items()]


def class_tables(methods: Sequence[Method], comparisons: Sequence[Comparison] = ()) -> list[tuple[str, list[ClassRow]]]:
    """(title, rows) of each table of IoU by class: one, or those of several test sets below that of their mean, which
    has the differences of a comparison of two methods, if any; empty without a test."""
    datasets = metrics.dataset_names(methods)
    tables = [(f'mean of {len(datasets)} test sets' if datasets else '', class_rows(methods, comparisons))]
    tables += [(name, class_rows(methods, dataset=name)) for name in datasets]
    return [(title, rows) for title, rows in tables if rows]


def class_rows(
    methods: Sequence[Method], comparisons: Sequence[Comparison] = (), dataset: str | None = None
) -> list[ClassRow]:
    """The table of IoU by class on one of several test sets or of their mean, with the mean of the classes below."""
    gains = {name: found for part in comparisons for name, found in (*part.iou.items(), ('mean', part.miou))}
    runs = [run for method in methods for run in method.runs]
    names = dict.fromkeys(name for run in runs for name in metrics.test_of(run, dataset).get('IoU', {}))
    rows = [(name, [metrics.class_iou(method, name, dataset) for method in methods]) for name in names]
    if rows:
        means = [metrics.spread(metrics.test_of(run, dataset).get('mIoU') for run in method.runs) for method in methods]
        rows.append(('mean', means))
    found = []
    for name, values in rows:
        gain = values[1].mean - values[0].mean if len(values) == 2 and None not in values else None
        found.append(ClassRow(name, values, gain, gains.get(name)))
    return found


def panels_of(methods: Sequence[Method]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(method, (title, data URI)) with the last panel of its first run that has any, then the first panel."""
    found = []
    for method in methods:
        panels = next((run.panels for run in method.runs if run.panels), [])
        images = []
        for path in dict.fromkeys([*panels[-1:], *panels[:1]]):
            number = path.stem.removeprefix('iter_')
            title = f'iteration {int(number):,}' if number.isdecimal() else path.stem
            with Image.open(path) as image:
                images.append((title, image_uri(image, 1800, 'jpeg')))
        if images:
            found.append((method.name, images))
    return found


def environment_table(methods: Sequence[Method]) -> list[tuple[str, list[str]]]:
    """(name, value for the first run of each method)."""
    columns = []
    for run in (method.runs[0] for method in methods):
        tested = {title: str(run.result[key]) for key, title in _ABOUT_TEST.items() if key in run.result}
        columns.append({'folder': str(run.folder), 'config': run.config_file, **tested, **run.environment})
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, [column.get(name, '-') for column in columns]) for name in names]


def runner_settings(config: Mapping) -> dict[str, str]:
    """Dotted key -> value as text, of the settings that a runner reads; variables of config files are left out."""
    read = inspect.signature(Runner.__init__).parameters.keys() - _NOT_COMPARED
    found = flat_settings({key: value for key, value in config.items() if key in read})
    # A list that is read back from a file may have become a tuple.
    return {path: repr(list(value) if isinstance(value, tuple) else value) for path, value in found if path}


def differences(configs: Sequence[Mapping]) -> list[tuple[str, list[str]]]:
    """(dotted key, its value in each config, '-' where it is absent) of the settings that are not the same in all. The
    seed does not count, nor does a component that is switched off with None where others do not name it."""
    settings = [runner_settings(config) for config in configs]
    keys = sorted({key for part in settings for key in part} - {'randomness.seed'})
    rows = {key: [part.get(key, '-') for part in settings] for key in keys}
    return [(key, values) for key, values in rows.items() if len(set(values)) > 1 and set(values) != {'-', 'None'}]
