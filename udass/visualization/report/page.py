"""The page: what the readers of this package found, put into the template."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

import udass
from udass.visualization.report import curves, pictures, scores, settings
from udass.visualization.report.reading import Method, Missing, Run

__all__ = ['render_report']

_SUMMARY = (('mIoU', 'mIoU'), ('mean_recall', 'mean recall'), ('pixel_accuracy', 'pixel accuracy'))


@dataclass(frozen=True)
class ClassRow:
    """A class in the table of IoU: a `Spread` or None by method, and the gain from the first of two to the second."""

    name: str
    values: list[scores.Spread | None]
    gain: float | None


@dataclass(frozen=True)
class Examples:
    """Pictures of single images, or the reason why there are none."""

    groups: list[tuple[str, list[pictures.Example]]]
    legend: list[tuple[str, str]]
    scatter: str = ''
    reason: str = ''


def render_report(methods: Sequence[Method], examples: int = 3) -> str:
    """The HTML page of one method or of several; it needs no other file and no network.

    Args:
        methods (Sequence[Method]): see `read_methods`; gains and losses are those of the last one over the first.
        examples (int): images that gain most to show, and as many that lose most.
    """
    environment = Environment(
        loader=PackageLoader('udass.visualization.report', 'templates'),
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
    )
    environment.filters['breakable'] = breakable
    names = [method.name for method in methods]
    return environment.get_template('page.html').render(
        title=', '.join(names),
        names=names,
        version=udass.__version__,
        series=curves.SERIES,
        date=datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M'),
        several=any(len(method.runs) > 1 for method in methods),
        summary=summary_table(methods),
        missing=missing_of(methods),
        curves=[*curves.validation_curves(methods), *curves.training_curves(methods)],
        classes=class_rows(methods),
        confusions=[
            (name, confusion)
            for name, confusion in zip(names, map(scores.confusion_of, methods), strict=True)
            if confusion is not None
        ],
        examples=find_examples(methods, examples),
        panels=panels_of(methods),
        differences=settings.differences([method.runs[0].config for method in methods]),
        configs=[
            (method.name, settings.flat_settings(method.runs[0].config)) for method in methods if method.runs[0].config
        ],
        environments=environment_table(methods),
    )


def breakable(name: str) -> Markup:
    """A name that may be broken between its parts, to fit into a narrow column."""
    return Markup('_<wbr>').join(
        Markup('/<wbr>').join(escape(part) for part in piece.split('/')) for piece in name.split('_')
    )


def summary_table(methods: Sequence[Method]) -> tuple[list[str], list[list[str]]]:
    """Head and rows: scores, iterations, time, memory of each method; columns that nobody fills are left out."""
    protocols = [(name, name) for name in scores.protocols_of(methods)]
    head = [title for _, title in (*_SUMMARY[:1], *protocols, *_SUMMARY[1:])]
    several = any(len(method.runs) > 1 for method in methods)
    head = [
        head[0],
        *(['by seed'] if several else []),
        *head[1:],
        'seeds',
        'iterations',
        'minutes of training',
        'seconds per iteration',
        'GPU memory, GiB',
    ]
    rows = []
    for method in methods:
        tested = [scores.scores_of(method, key) for key, _ in (*_SUMMARY[:1], *protocols, *_SUMMARY[1:])]
        minutes = scores.spread(
            None if (seconds := scores.training_seconds(run)) is None else seconds / 60 for run in method.runs
        )
        memory = scores.spread(
            None if (peak := scores.peak_memory(run)) is None else peak / 1024 for run in method.runs
        )
        by_seed = ', '.join(
            f'{run.result["mIoU"]:.1f}' if run.result.get('mIoU') is not None else '-' for run in method.runs
        )
        rows.append(
            [
                _text(tested[0]),
                *([by_seed] if several else []),
                *(_text(value) for value in tested[1:]),
                str(len(method.runs)),
                _iterations(method),
                _text(minutes),
                _text(scores.spread(map(scores.seconds_per_iteration, method.runs)), 2),
                _text(memory),
            ]
        )
    filled = [number for number in range(len(head)) if any(row[number] != '-' for row in rows)]
    return [head[number] for number in filled], [[row[number] for number in filled] for row in rows]


def _text(value: scores.Spread | None, digits: int = 1) -> str:
    return '-' if value is None else value.text(digits)


def _iterations(method: Method) -> str:
    done = sorted({run.training[-1]['step'] for run in method.runs if run.training})
    return ' to '.join(f'{count:,}' for count in dict.fromkeys([done[0], done[-1]])) if done else '-'


def missing_of(methods: Sequence[Method]) -> list[tuple[str, list[str], str]]:
    """(run, what it lacks, the command that makes it or ''); one run of a method with predictions is enough."""
    found = []
    for method in methods:
        shown = any(run.predictions is not None for run in method.runs)
        for number, run in enumerate(method.runs):
            lacking = [
                item
                for item in run.missing
                if not (item.what.startswith('predictions') and (shown or number))
                and not (item.what.startswith('training panels') and number)
            ]
            name = method.name if len(method.runs) == 1 else f'{method.name}, {run.folder.name}'
            found += _by_command(name, lacking)
    return found


def _by_command(name: str, lacking: Sequence[Missing]) -> list[tuple[str, list[str], str]]:
    commands = {item.command: None for item in lacking}
    return [(name, [item.what for item in lacking if item.command == command], command) for command in commands]


def class_rows(methods: Sequence[Method]) -> list[ClassRow]:
    """The table of IoU by class, with the mean below; empty without a test."""
    names = scores.classes_of(methods)
    rows = [(name, [scores.class_iou(method, name) for method in methods]) for name in names]
    if rows:
        rows.append(('mean', [scores.scores_of(method, 'mIoU') for method in methods]))
    return [
        ClassRow(name, values, values[1].mean - values[0].mean if len(values) == 2 and None not in values else None)
        for name, values in rows
    ]


def panels_of(methods: Sequence[Method]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(method, (file, picture)) with the last panel of its first run that has any, then the first panel."""
    found = []
    for method in methods:
        run = next((run for run in method.runs if run.panels), None)
        if run is not None:
            chosen = dict.fromkeys([run.panels[-1], run.panels[0]])
            found.append((method.name, [(panel_title(path.stem), pictures.panel_image(path)) for path in chosen]))
    return found


def panel_title(stem: str) -> str:
    """``iteration 4,000`` for iter_004000; other names as they are."""
    number = stem.removeprefix('iter_')
    return f'iteration {int(number):,}' if number.isdecimal() else stem


def environment_table(methods: Sequence[Method]) -> list[tuple[str, list[str]]]:
    """(what, its value for the first run of each method)."""
    columns = []
    for method in methods:
        run = method.runs[0]
        measured = {'folder': str(run.folder), 'config': run.config_file}
        measured |= {
            name: str(run.result[key])
            for key, name in (
                ('checkpoint', 'tested checkpoint'),
                ('branch', 'tested network'),
                ('images', 'test images'),
                ('machine', 'machine'),
                ('code', 'commit'),
            )
            if key in run.result
        }
        columns.append(measured | run.environment)
    names = {name: None for column in columns for name in column}
    return [(name, [column.get(name, '-') for column in columns]) for name in names]


def find_examples(methods: Sequence[Method], count: int) -> Examples:
    """Of one method the best and the worst images, of several those that gain and lose most."""
    runs = [
        next((run for run in method.runs if run.predictions is not None and run.details), None) for method in methods
    ]
    names = [method.name for method in methods if any(run in runs for run in method.runs)]
    shown = [run for run in runs if run is not None]
    if not shown:
        return Examples(
            [], [], reason='There are no predictions with scores by image yet; the command is in the summary.'
        )
    try:
        return _draw_examples(shown, names, count)
    except (OSError, ValueError, KeyError) as error:
        return Examples(
            [],
            [],
            reason='The test images cannot be read from here: '
            f'{str(error).strip()} (paths in a config count from where the tools are run).',
        )


def _draw_examples(runs: Sequence[Run], names: Sequence[str], count: int) -> Examples:
    images = pictures.TestImages(runs[0].config)
    scatter = ''
    if len(runs) == 1:
        best, worst = scores.best_and_worst(runs[0], count)
        groups = [('Best images', best), ('Worst images', worst)]
    else:
        gains, losses = scores.gains_and_losses(runs, count)
        groups = [
            (f'Largest gains of {names[-1]} over {names[0]}', gains),
            (f'Largest losses of {names[-1]} against {names[0]}', losses),
        ]
        first, last = scores.image_scores(runs[0]), scores.image_scores(runs[-1])
        shared = [image for image in first if image in last]
        scatter = curves.draw_scatter(
            [first[image] for image in shared], [last[image] for image in shared], (names[0], names[-1])
        )
    meta = images.dataset.metainfo
    legend = [
        (name, '#{:02x}{:02x}{:02x}'.format(*colour))
        for name, colour in zip(meta['classes'], meta['palette'], strict=True)
    ]
    drawn = [
        (title, [pictures.draw_example(choice, runs, names, images) for choice in choices]) for title, choices in groups
    ]
    return Examples(drawn, [*legend, ('ignored', '#000000')], scatter)
