"""The command ``udass`` and its commands. The module of a command is imported when it runs, so that help is quick.

A new command is an entry in ``COMMANDS``, a function in `udass.cli.arguments`, and a module with ``run(args)``.
"""

import importlib
import io
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import udass
from udass.cli import UsageError, arguments, errors_as_messages


@dataclass(frozen=True)
class Command:
    """A command of ``udass``.

    Args:
        module: has ``run(args)``, which is given the parsed arguments, and in ``args.arguments`` the words themselves.
        sentence: what it does.
        example: a command line, without ``udass``.
        add_arguments: adds its arguments to a parser.
    """

    module: str
    sentence: str
    example: str
    add_arguments: Callable[[ArgumentParser], None] = lambda parser: None


COMMANDS = {
    'train': Command(
        'udass.cli.train',
        'Train what a config describes.',
        'train streets_quadmix --seed 1 (Ctrl-C saves; with --resume the same command goes on)',
        arguments.train,
    ),
    'test': Command(
        'udass.cli.test',
        'Test a checkpoint: IoU of every class and their mean.',
        'test streets_quadmix work_dirs/streets_quadmix/iter_450.pth',
        arguments.test,
    ),
    'infer': Command(
        'udass.cli.infer',
        'Segment images and video with a trained network.',
        'infer work_dirs/streets_quadmix/iter_450.pth images/ --out results',
        arguments.infer,
    ),
    'export': Command(
        'udass.cli.export',
        'Write a trained network into a folder that other programs read: safetensors, ONNX, torch.export.',
        'export work_dirs/streets_quadmix/iter_450.pth --format safetensors onnx --check',
        arguments.export,
    ),
    'adapt': Command(
        'udass.cli.adapt.command',
        'Adapt a network from a folder of labelled images to a folder or video without labels, without a config.',
        'adapt labelled_photos/ drive.mp4 --out work_dirs/drive',
        arguments.adapt,
    ),
    'report': Command(
        'udass.cli.report',
        'Write one HTML page of a run, or of several side by side.',
        'report work_dirs/streets_source_only work_dirs/streets_quadmix --out comparison.html',
        arguments.report,
    ),
    'seeds': Command(
        'udass.cli.experiments.seeds',
        'Train and test each config with each seed.',
        'seeds streets_source_only streets_quadmix --seeds 0 1 2',
        arguments.seeds,
    ),
    'flow': Command(
        'udass.cli.data.flow',
        'Compute the optical flow that the clips of a config, or a folder of frames, need in training; or measure it.',
        'flow viper2csseq_quadmix --workers 8',
        arguments.flow,
    ),
    'check': Command(
        'udass.cli.data.check',
        'Read every file of the data sets of a config and report problems.',
        'check gta2cs_quadmix',
        arguments.check,
    ),
    'browse': Command(
        'udass.cli.data.browse',
        'Show the training samples of a config: augmented images, clips with flow, mixed images.',
        'browse streets_quadmix --out samples.html --number 8',
        arguments.browse,
    ),
    'convert': Command(
        'udass.cli.convert',
        'Convert weights between code bases: published, ours, mmseg.',
        'convert mic.pth out.pth --from mic --check gta2cs_mic',
        arguments.convert,
    ),
    'demo': Command(
        'udass.cli.experiments.demo',
        'Train source-only and QuadMix on the built-in streets and compare.',
        'demo --out work_dirs/demo --images 8',
        arguments.demo,
    ),
    'env': Command(
        'udass.cli.env',
        'Show versions, devices, conflicting packages and what is missing.',
        'env',
    ),
    'streets': Command(
        'udass.cli.data.streets',
        'Write the built-in street scenes as data set folders.',
        'streets --root data/streets --clips',
        arguments.streets,
    ),
    'configs': Command(
        'udass.cli.configs',
        'List the published configs with their networks and scores, or copy one to edit.',
        'configs quadmix cityscapes',
        arguments.configs,
    ),
    'benchmark': Command(
        'udass.benchmark.command',
        'Measure time, memory and kernel launches of a training step, of mixing, of the loaders or of inference.',
        'benchmark step benchmark_daformer_mitb0 benchmark_quadmix_mitb0 --size 256',
        arguments.benchmark,
    ),
}


def build_parser() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser of ``udass``, and those of its commands by name."""
    parser = ArgumentParser(
        'udass', description='Unsupervised domain-adaptive semantic segmentation of images and video.'
    )
    parser.add_argument('--version', action='version', version=udass.__version__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND', title='commands')
    for name, command in COMMANDS.items():
        epilog = f'example: udass {command.example}'
        own = commands.add_parser(name, help=command.sentence, description=command.sentence, epilog=epilog)
        own.add_argument('--debug', action='store_true', help='show tracebacks of errors')
        command.add_arguments(own)
    return parser, commands.choices


def main(words: Sequence[str] | None = None) -> None:
    """Run a command; ``words`` are those of the command line by default."""
    given = list(sys.argv[1:] if words is None else words)
    parser, parsers = build_parser()
    args = parser.parse_args(given)
    args.arguments = given[1:]
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files need not be UTF-8; stderr is forgiving by itself.
        sys.stdout.reconfigure(errors='backslashreplace')
    try:
        with errors_as_messages():
            importlib.import_module(COMMANDS[args.command].module).run(args)
    except UsageError as error:
        parsers[args.command].error(str(error))
