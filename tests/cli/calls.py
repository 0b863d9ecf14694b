"""Commands that run in the process of the test."""

from types import ModuleType


def call(command: ModuleType, *arguments: object) -> object:
    """Run a command as from the command line, but with its errors raised."""
    return command.run(command.parser().parse_args([str(argument) for argument in arguments]))
