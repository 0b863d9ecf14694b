"""Commands that run in the process of the test."""

import argparse
from types import ModuleType

from udass.cli.main import COMMANDS, build_parser


def parse(command: str, *arguments: object) -> argparse.Namespace:
    """The arguments of a command as ``udass`` parses them."""
    return build_parser()[0].parse_args([command, *map(str, arguments)])


def call(command: ModuleType, *arguments: object) -> object:
    """Run a command as from the command line, but with its errors raised."""
    name = next(name for name, known in COMMANDS.items() if known == command.__name__)
    args = parse(name, *arguments)
    args.arguments = [str(argument) for argument in arguments]
    return command.run(args)
