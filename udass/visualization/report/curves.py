"""Draw curves as SVG in colours that the style sheet of the page sets."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from udass.evaluation.unlabelled import UNLABELLED
from udass.visualization.report.reading import Method, Run

# Colours that nothing else has: each is replaced by a variable of the style sheet, for light and dark.
_INK, _LINE = '#010203', '#010204'
SERIES = 8
_COLOURS = [f'#0102{number:02x}' for number in range(0x10, 0x10 + SERIES)]
_DASHES = ('-', '--', ':')
_STYLE = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'udass',
    'font.size': 8.5,
    'axes.grid': True,
    'grid.linewidth': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
    **dict.fromkeys(('axes.edgecolor', 'grid.color'), _LINE),
    **dict.fromkeys(('text.color', 'axes.labelcolor', 'xtick.color', 'ytick.color'), _INK),
}
_NOT_CURVES = {'iter', 'step', 'epoch', 'time', 'data_time', 'memory', 'base_lr', 'eta'}
_TITLES = {'loss': 'loss, all passes', 'confidence': "confidence of the teacher's labels", 'lr': 'learning rate'}


def training_curves(methods: Sequence[Method]) -> list[tuple[str, str]]:
    """(title, SVG) of each scalar of the training log: losses, confidence, learning rate, others."""
    runs = [run for method in methods for run in method.runs]
    keys = dict.fromkeys(key for run in runs for record in run.training for key in record if key not in _NOT_CURVES)
    # Those of the classes are a table.
    names = [key for key in keys if not key.startswith('pseudo_labels.') or key.count('.') == 1]
    return [(_TITLES.get(name, name), draw_curve(methods, 'training', name)) for name in sorted(names, key=_place)]


def validation_curves(methods: Sequence[Method]) -> list[tuple[str, str]]:
    """(title, SVG) of each mean IoU of the validations, and of their scores without labels."""
    runs = [run for method in methods for run in method.runs]
    names = dict.fromkeys(key for run in runs for record in run.validations for key in record)
    titles = {name: f'{name} of validations, percent' for name in names if name.startswith('mIoU')}
    titles |= {name: f'{name} of validations, without labels' for name in names if name in UNLABELLED}
    return [(title, draw_curve(methods, 'validations', name, 'o')) for name, title in titles.items()]


def _place(name: str) -> tuple[int, str]:
    is_part = '.loss' in name or name.startswith('loss_')
    order = ['loss', 'part', 'confidence', 'lr']
    kind = 'part' if is_part else name
    return (order.index(kind) if kind in order else len(order)), '' if is_part else name


def draw_curve(methods: Sequence[Method], source: str, name: str, marker: str = '') -> str:
    """A line per method, the mean over its seeds, with a band of one standard deviation.

    Args:
        methods: in the order of their colours.
        source: ``training`` or ``validations``.
        name: of the scalar.
        marker: of each value, as in matplotlib; by default only a single value is marked.
    """

    def records(run: Run) -> list[dict]:
        return getattr(run, source)

    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure((4.0, 2.3))
        for number, method in enumerate(methods):
            tables = [{record['step']: record.get(name) for record in records(run)} for run in method.runs]
            steps, mean, deviation = mean_over_seeds(tables)
            if not len(steps):
                continue
            colour, dash = _COLOURS[number % SERIES], _DASHES[number // SERIES % len(_DASHES)]
            # Later lines are thinner, so that equal ones do not hide each other.
            width = 2.4 - 1.2 * number / max(1, len(methods) - 1) if len(methods) > 1 else 1.6
            shape = marker or ('o' if len(steps) == 1 else '')
            axes.plot(steps, mean, color=colour, ls=dash, lw=width, marker=shape, markersize=2 + width)
            if deviation is not None:
                axes.fill_between(steps, mean - deviation, mean + deviation, color=colour, alpha=0.18, linewidth=0)
        last = max((record['step'] for method in methods for run in method.runs for record in records(run)), default=1)
        # All charts share the range of iterations.
        axes.set(xlim=(0, 1.02 * last), xlabel='iteration')
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        axes.xaxis.set_major_formatter(lambda value, _: f'{value:,.0f}')
        axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
        return _svg(figure)


def mean_over_seeds(curves: Sequence[dict[int, float | None]]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Steps that all curves have, the mean there, and the standard deviation (n - 1; None for one curve).

    Curves without values do not count. A value that is None (the loss was not measured in that interval) or not finite
    is left out of the mean, and a step without any value is left out.
    """
    present = [curve for curve in curves if any(value is not None for value in curve.values())]
    if not present:
        return np.empty(0), np.empty(0), None
    steps = np.array(sorted(set.intersection(*map(set, present))), dtype=int)
    table = np.array([[curve[step] for step in steps] for curve in present], dtype=float).reshape(len(present), -1)
    values = np.ma.masked_invalid(table)
    measured = values.count(axis=0) > 0
    steps, values = steps[measured], values[:, measured]
    deviation = np.ma.filled(values.std(axis=0, ddof=1), np.nan) if len(present) > 1 else None
    return steps, np.asarray(values.mean(axis=0)), deviation


def draw_scatter(first: Sequence[float], second: Sequence[float], names: tuple[str, str]) -> str:
    """A point per image: mIoU in percent of one run and of another; above the diagonal the second is better."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _figure((4.0, 3.4))
        top = max(1.0, *first, *second) * 1.05
        axes.plot([0, top], [0, top], color=_LINE, linewidth=1)
        axes.plot(first, second, 'o', color=_COLOURS[1], markersize=3.5, alpha=0.7, markeredgewidth=0)
        axes.set(xlim=(0, top), ylim=(0, top))
        # A name may hold what matplotlib takes for a formula.
        axes.set_xlabel(names[0], parse_math=False)
        axes.set_ylabel(names[1], parse_math=False)
        return _svg(figure)


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """A transparent figure with one chart; at ``size`` in inches (96 pixels) text keeps its size on a phone."""
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.add_subplot()
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    return figure, axes


def _svg(figure: Figure) -> str:
    """The <svg> element of a figure, with colours as variables."""
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', metadata=dict.fromkeys(('Date', 'Creator', 'Format', 'Type')))
    text = buffer.getvalue()
    text = text[text.index('<svg') :]
    variables = {_INK: 'ink', _LINE: 'line', **{colour: f's{number}' for number, colour in enumerate(_COLOURS, 1)}}
    for colour, variable in variables.items():
        text = text.replace(colour, f'var(--{variable})')
    return text
