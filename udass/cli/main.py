"""The command ``udass`` and its commands. The module of a command is imported when it runs, so that help is quick.

A new command is an entry in ``COMMANDS``, a function of its name in `udass.cli.arguments`, and a module with
``run(args)``.
"""

import importlib
import io
import os
import sys
from argparse import ArgumentParser
from collections.abc import Sequence

import udass
from udass.cli import UsageError, arguments, errors_as_messages

# The module of each command, whose ``run(args)`` is given the parsed arguments and, in ``args.arguments``, the words.
COMMANDS = {
    'train': 'udass.cli.train',
    'test': 'udass.cli.test',
    'infer': 'udass.cli.infer',
    'export': 'udass.cli.export',
    'adapt': 'udass.cli.adapt.command',
    'report': 'udass.cli.report',
    'seeds': 'udass.cli.experiments.seeds',
    'flow': 'udass.cli.data.flow',
    'check': 'udass.cli.data.check',
    'browse': 'udass.cli.data.browse',
    'convert': 'udass.cli.convert',
    'demo': 'udass.cli.experiments.demo',
    'env': 'udass.cli.env',
    'streets': 'udass.cli.data.streets',
    'configs': 'udass.cli.configs',
    'benchmark': 'udass.benchmark.command',
}


def build_parser() -> tuple[ArgumentParser, dict[str, ArgumentParser]]:
    """The parser of ``udass``, and those of its commands by name."""
    parser = ArgumentParser(
        'udass', description='Unsupervised domain-adaptive semantic segmentation of images and video.'
    )
    parser.add_argument('--version', action='version', version=udass.__version__)
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND', title='commands')
    for name in COMMANDS:
        add_arguments = getattr(arguments, name)
        own = commands.add_parser(name, help=add_arguments.__doc__, description=add_arguments.__doc__)
        own.add_argument('--debug', action='store_true', help='show tracebacks of errors')
        add_arguments(own)
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
            importlib.import_module(COMMANDS[args.command]).run(args)
    except UsageError as error:
        parsers[args.command].error(str(error))
