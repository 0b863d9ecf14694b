"""The processes of a run, forked from that of the test, which spares them the seconds that their imports take."""

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import multiprocessing

SECONDS = 300


def fork(function: Callable, *arguments: object, number: int = 2) -> list[int]:
    """Exit codes of processes that call a function with their rank and the arguments."""
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=_call, args=(function, rank, *arguments)) for rank in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(SECONDS)
        # Ends what waits for a process that has failed.
        process.kill()
    return [process.exitcode for process in processes]


def _call(function: Callable, rank: int, *arguments: object) -> None:
    # Threads of OpenMP do not survive a fork.
    torch.set_num_threads(1)
    function(rank, *arguments)


def run_command(main: Callable, *arguments: object, log: Path, number: int = 2) -> tuple[list[int], str]:
    """Exit codes and joined output of processes of a command, which find each other as those of torchrun do."""
    with socket.socket() as free:
        free.bind(('localhost', 0))
        port = free.getsockname()[1]
    log.unlink(missing_ok=True)
    codes = fork(_main, main, [*map(str, arguments), '--launcher', 'pytorch'], port, log, number, number=number)
    return codes, log.read_text()


def _main(rank: int, main: Callable, arguments: list[str], port: int, log: Path, number: int) -> None:
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(number), MASTER_ADDR='localhost', MASTER_PORT=str(port)
    )
    # Stays open for the message with which a command ends.
    file = open(log, 'a', buffering=1)  # noqa: SIM115
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
    sys.stdout = sys.stderr = file
    main(arguments)
