"""Adapt a network from a folder of labelled images to one of unlabelled images, without a config of one's own."""

import argparse
import json
import os
import shlex
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from udass.cli import UsageError, report, write_json
from udass.cli.adapt.folders import LabelledFolder, Target, check_apart, find_labelled, find_target, image_size
from udass.cli.adapt.labels import (
    Classes,
    classes_are_colours,
    convert_colours,
    count_classes,
    examine_all,
    find_classes,
)
from udass.cli.adapt.plan import NETWORKS, Data, Step, choose_network, config_text, measure, plan_text
from udass.cli.experiments.experiment import run_experiment, run_tool
from udass.datasets.sampling.counting import map_in_threads
from udass.engine.checkpoint import latest_checkpoint
from udass.engine.config import load_config
from udass.errors import printable
from udass.inference import find_inputs
from udass.io.images import read_image
from udass.io.writing import write_text
from udass.visualization.canvas import Tile, overlay_labels
from udass.visualization.pages import Section, html_page

_REQUEST, _PLAN = 'adapt.json', 'plan.txt'
_RUNS = {'source': ('source_only',), 'adapted': ('adapted',), None: ('source_only', 'adapted')}
_SHOWN = 12


def run(args: argparse.Namespace) -> None:
    """Plan, train, segment the target."""
    if args.iterations is not None and args.iterations < 1:
        raise UsageError(f'--iterations must be at least 1, got {args.iterations}')
    out = Path(args.out or f'work_dirs/adapt_{Path(os.path.abspath(args.target)).stem}')
    command = shlex.join(['udass', 'adapt', *args.arguments])
    if args.dry_run:
        with TemporaryDirectory() as folder:
            print(prepare(args, Path(folder), out, command))
        return
    check_out(out, request_of(args))
    if not (out / _PLAN).is_file():
        write_json(out / _REQUEST, request_of(args))
        # Last, as it says that the rest is there.
        write_text(out / _PLAN, prepare(args, out, out, command) + '\n')
    print((out / _PLAN).read_text(), end='', flush=True)
    if not (args.yes or confirmed()):
        print(f'Nothing was trained. The same command starts it; the configs are in {out}')
        return
    try:
        results = {name: train_and_segment(args, out, name) for name in _RUNS[args.only]}
    except KeyboardInterrupt:
        sys.stderr.write('\nInterrupted. The same command goes on from here.\n')
        sys.exit(130)
    report.run(argparse.Namespace(folders=[out / name for name in results], out=out / 'report.html', examples=3))
    target = find_target(args.target)
    write_target_page(out, list(results), target)
    print(summary(out, results, target))


def request_of(args: argparse.Namespace) -> dict:
    """What makes two calls the same; everything else may differ."""
    paths = {name: getattr(args, name) for name in ('source', 'target', 'test', 'colors')}
    request = {name: path and os.path.abspath(os.path.expanduser(path)) for name, path in paths.items()}
    return request | {name: getattr(args, name) for name in ('iterations', 'method', 'network', 'seed')}


def check_out(out: Path, request: dict) -> None:
    """Raises ValueError if the folder holds something else than a run of this request."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / _REQUEST).is_file():
        raise ValueError(f'{out} holds other files than those of udass adapt: choose another folder with --out')
    known = json.loads((out / _REQUEST).read_text())
    changed = {name: value for name, value in request.items() if known.get(name) != value}
    other = [f'{name}: {known.get(name)} there, {value} now' for name, value in changed.items()]
    # Without a plan nothing was trained.
    if other and (out / _PLAN).is_file():
        raise ValueError(
            f'{out} holds another run ({"; ".join(other)}): choose another folder with --out, or delete this one'
        )


def confirmed() -> bool:
    """Ask in a terminal; elsewhere nobody could answer."""
    return not sys.stdin.isatty() or input('Start? [Y/n] ').strip().lower() in ('', 'y', 'yes')


def prepare(args: argparse.Namespace, folder: Path, out: Path, command: str) -> str:
    """Look at the data, and write the configs (and labels, where they are colours) to a folder; returns the plan."""
    source, target = find_labelled(args.source), find_target(args.target)
    check_apart(source, target)
    findings = examine_all(source, by_colour=args.colors is not None)
    given = Path(source.root, 'classes.txt')
    file = Path(args.colors) if args.colors is not None else given if given.is_file() else None
    by_colour = args.colors is not None or classes_are_colours(source, findings)
    classes = find_classes(source, findings, file, by_colour)
    pixels = count_classes(source, findings, classes)
    size = Counter(finding.size for finding in findings).most_common(1)[0][0]
    # Names the first that is no image.
    still = target.paths if target.every is None else target.paths[:1]
    target_size = Counter(map_in_threads(image_size, still, f'Looking at {target.path}')).most_common(1)[0][0]
    test = None if args.test is None else labelled_test(args.test, classes.coloured, classes)
    if classes.coloured:
        source = convert_colours(source, classes, folder / 'labels' / 'source')
        test = None if test is None else convert_colours(test, classes, folder / 'labels' / 'test')
    data = Data(source, target, test, classes, pixels, size, target_size)
    name, warning = choose_network(args.network)
    iterations = args.iterations or NETWORKS[name].iterations
    steps: dict[str, Step] = {}
    cache = Path(os.path.abspath(folder), 'cache')
    for run_name, method in (('source_only', 'source_only'), ('adapted', args.method)):
        config = folder / f'{run_name}.py'
        write_text(config, config_text(data, NETWORKS[name], method, iterations, args.seed, cache, command))
        if run_name in _RUNS[args.only]:
            steps[run_name] = measure(config)
    return plan_text(data, name, warning, args.method, iterations, steps, out)


def labelled_test(path: str, by_colour: bool, classes: Classes) -> LabelledFolder:
    """A folder to test on, whose labels are of the same kind and classes as those of the source."""
    test = find_labelled(path)
    count_classes(test, examine_all(test, by_colour), classes)
    return test


def train_and_segment(args: argparse.Namespace, out: Path, name: str) -> dict:
    """Train one network, test it where there are labels, and segment the target; what is done already stays."""
    folder = out / name
    print(f'\n=== {name} ===', flush=True)
    has_test = args.test is not None
    result = run_experiment(str(out / f'{name}.py'), args.seed, folder, predictions=has_test, test=has_test)
    if not (folder / 'target').is_dir():
        part = folder / 'target.part'
        inputs = [str(latest_checkpoint(folder)), find_target(args.target).path]
        run_tool('infer', [*inputs, '--out', str(part), '--batch-size', '1'])
        part.rename(folder / 'target')
    return result


def write_target_page(out: Path, names: list[str], target: Target) -> None:
    """A page of images of the target, evenly spaced, with what each network makes of them."""
    metainfo = load_config(out / f'{names[0]}.py').train_dataloader.target.dataset.metainfo
    frames = [frame for video in find_inputs([target.path]) for frame in video.frames]
    chosen = np.linspace(0, len(frames) - 1, min(_SHOWN, len(frames))).round().astype(int)
    groups = []
    for frame in (frames[index] for index in chosen):
        image = np.ascontiguousarray(read_image(frame.path, upright=True)[..., ::-1])
        tiles = [Tile(image, Path(frame.name).name)]
        for name in names:
            with Image.open(out / name / 'target' / 'ids' / f'{frame.name}.png') as file:
                tiles.append(Tile(overlay_labels(image, np.array(file), metainfo['palette']), name))
        groups.append(tiles)
    section = Section('Target', f'{len(groups)} of {len(frames)} images, evenly spaced', groups)
    page = html_page(out.resolve().name, f'Images of {target.path}.', [section], **metainfo)
    write_text(out / 'target.html', printable(page))


def summary(out: Path, results: dict[str, dict], target: Target) -> str:
    """Scores, and where everything is."""
    scores = [f'{name:<12} mIoU {result["mIoU"]:.2f}' for name, result in results.items() if 'mIoU' in result]
    last = out / list(results)[-1]
    shown = 'overlays' if target.every is None else f'{Path(target.path).stem}.mp4'
    lines = [
        f'{last / "target" / "ids"}: class ids',
        f'{last / "target" / shown}: the classes in colour',
        f'{out / "target.html"}: images of the target with these labels',
        f'{out / "report.html"}: curves and settings' + ', scores' * bool(scores),
        f'udass train {last}.py repeats this training',
    ]
    return '\n'.join(['', *scores, *lines])
