"""Curves as SVG, small enough to be legible on a phone and in colours that the page's style sheet sets."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from udass.visualization.report.reading import Method

# Colours that nothing else has: each is replaced by a variable of the style sheet, for light and dark.
_INK, _LINE = '#010203', '#010204'
SERIES = 8
_COLOURS = [f'#0102{number:02x}' for number in range(0x10, 0x10 + SERIES)]
_DASHES = ('-', '--', ':')
# Inches at 96 pixels: shown at about this size, text keeps its size.
_SIZE = (4.0, 2.3)
_STYLE = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'udass',
    'font.size': 8.5,
    'axes.edgecolor': _LINE,
    'text.color': _INK,
    'axes.labelcolor': _INK,
    'xtick.color': _INK,
    'ytick.color': _INK,
    'axes.grid': True,
    'grid.color': _LINE,
    'grid.linewidth': 0.6,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
}
_NOT_CURVES = {'iter', 'step', 'epoch', 'time', 'data_time', 'memory', 'base_lr', 'eta'}
_TITLES = {'loss': 'loss, all passes', 'confidence': "confidence of the teacher's labels", 'lr': 'learning rate'}


@dataclass(frozen=True)
class Curve:
    """A chart of one scalar: its title, and the picture as SVG text."""

    title: str
    svg: str


def training_curves(methods: Sequence[Method]) -> list[Curve]:
    """One chart per scalar of the training log: losses, confidence, learning rate, others; a line per method."""
    names = {
        key: None
        for method in methods
        for run in method.runs
        for record in run.training
        for key in record
        if key not in _NOT_CURVES
    }
    ordered = sorted(names, key=_place)
    return [Curve(_TITLES.get(name, name), draw_curve(methods, 'training', name)) for name in ordered]


def validation_curves(methods: Sequence[Method]) -> list[Curve]:
    """One chart per mean IoU of the validations."""
    names = {
        key: None
        for method in methods
        for run in method.runs
        for record in run.validations
        for key in record
        if key.startswith('mIoU')
    }
    return [
        Curve(f'{name} of validations, percent', draw_curve(methods, 'validations', name, marker='o')) for name in names
    ]


def _place(name: str) -> tuple[int, str]:
    order = ['loss', 'part', 'confidence', 'lr']
    kind = 'part' if '.loss' in name or name.startswith('loss_') else name
    return (order.index(kind) if kind in order else len(order)), '' if kind == 'part' else name


def draw_curve(methods: Sequence[Method], source: str, name: str, marker: str = '') -> str:
    """A line per method, the mean over its seeds, and between mean - and + standard deviation a band.

    Args:
        methods (Sequence[Method]): in the order of their colours.
        source (str): ``training`` or ``validations``.
        name (str): of the scalar.
        marker (str): matplotlib's, at each value; without one only a single value is marked.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SIZE, layout='constrained')
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        for number, method in enumerate(methods):
            steps, mean, deviation = mean_over_seeds(
                [{record['step']: record.get(name) for record in getattr(run, source)} for run in method.runs]
            )
            if not len(steps):
                continue
            colour, dash = _COLOURS[number % SERIES], _DASHES[number // SERIES % len(_DASHES)]
            # Later lines are thinner, so that equal ones do not hide each other.
            width = 2.4 - 1.2 * number / max(1, len(methods) - 1) if len(methods) > 1 else 1.6
            axes.plot(
                steps,
                mean,
                color=colour,
                linestyle=dash,
                linewidth=width,
                markersize=2 + width,
                marker=marker or ('o' if len(steps) == 1 else ''),
            )
            if deviation is not None:
                axes.fill_between(steps, mean - deviation, mean + deviation, color=colour, alpha=0.18, linewidth=0)
        _scale(
            axes,
            max(
                (record['step'] for method in methods for run in method.runs for record in getattr(run, source)),
                default=1,
            ),
        )
        axes.set_xlabel('iteration')
        return _svg(figure)


def _scale(axes: Axes, last: int) -> None:
    """The same whole iterations in every chart, few labels, and numbers without a shared exponent."""
    axes.set_xlim(0, 1.02 * last)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(lambda value, _: f'{value:,.0f}')
    axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')


def mean_over_seeds(curves: Sequence[dict[int, float | None]]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Steps that all curves have, the mean there, and the standard deviation (n - 1; None for one curve).

    Curves without values do not count. At a step where some curves have no value (None: this loss was not measured in
    that interval), or one that is not finite, the others make the mean; steps without any value are left out.
    """
    present = [curve for curve in curves if any(value is not None for value in curve.values())]
    if not present:
        return np.empty(0), np.empty(0), None
    steps = np.array(sorted(set.intersection(*(set(curve) for curve in present))), dtype=int)
    values = np.ma.masked_invalid(np.array([[curve[step] for step in steps] for curve in present], dtype=np.float64))
    values = values.reshape(len(present), len(steps))
    measured = values.count(axis=0) > 0
    steps, values = steps[measured], values[:, measured]
    mean = np.asarray(values.mean(axis=0))
    if len(present) == 1:
        return steps, mean, None
    return steps, mean, np.ma.filled(values.std(axis=0, ddof=1), np.nan)


def draw_scatter(first: Sequence[float], second: Sequence[float], names: tuple[str, str]) -> str:
    """A point per image: mIoU in percent of one run and of another; above the diagonal the second is better."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.0, 3.4), layout='constrained')
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        top = max(1.0, *first, *second) * 1.05
        axes.plot([0, top], [0, top], color=_LINE, linewidth=1)
        axes.plot(first, second, 'o', color=_COLOURS[1], markersize=3.5, alpha=0.7, markeredgewidth=0)
        axes.set(xlim=(0, top), ylim=(0, top))
        # A name may hold what matplotlib takes for a formula.
        axes.set_xlabel(names[0], parse_math=False)
        axes.set_ylabel(names[1], parse_math=False)
        return _svg(figure)


def _svg(figure: Figure) -> str:
    """The picture's <svg> element, colours by variables."""
    buffer = io.StringIO()
    FigureCanvasSVG(figure).print_svg(buffer, metadata={'Date': None, 'Creator': None, 'Format': None, 'Type': None})
    text = buffer.getvalue()
    text = text[text.index('<svg') :]
    for colour, variable in [
        (_INK, 'ink'),
        (_LINE, 'line'),
        *((colour, f's{number}') for number, colour in enumerate(_COLOURS, start=1)),
    ]:
        text = text.replace(colour, f'var(--{variable})')
    return text
