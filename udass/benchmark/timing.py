"""Times that can be compared: warm-up, repeats, and several candidates in turns, so that all see the same weather."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat, in the order in which they were run."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def to_dict(self) -> dict:
        """``median``, ``low`` and ``high`` (quartiles), in seconds, and ``repeats``."""
        return {**_spread(self.seconds), 'repeats': len(self.seconds)}


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was told; nothing to wait for on the CPU."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def time_in_turns(
    candidates: Mapping[str, Callable[..., object]],
    repeats: int,
    warmup: int,
    device: torch.device,
    prepare: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Timing]:
    """Time several functions, one call of each per round.

    The order turns round after round, so that none always runs in the wake of the same other one.

    Args:
        candidates: functions by name.
        repeats: rounds that count, at least 1.
        warmup: rounds before these.
        device: what to wait for before the clock is read.
        prepare: by name, what makes the argument of a call, outside of the clock.

    Raises:
        ValueError: no round counts.
    """
    if repeats < 1 or warmup < 0:
        raise ValueError(f'repeats is at least 1 and warmup at least 0; got {repeats} and {warmup}')
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warmup + repeats):
        for name in names if number % 2 == 0 else names[::-1]:
            arguments = [prepare[name]()] if prepare and name in prepare else []
            synchronize(device)
            start = time.perf_counter()
            result = candidates[name](*arguments)
            synchronize(device)
            elapsed = time.perf_counter() - start
            # Freed outside of the clock: what a caller keeps costs nothing.
            del result, arguments
            if number >= warmup:
                seconds[name].append(elapsed)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def ratio(above: Timing, below: Timing) -> dict:
    """How many times longer ``above`` takes: median and quartiles of the ratios of each round."""
    return _spread([a / b for a, b in zip(above.seconds, below.seconds, strict=True)])


def _spread(values: Sequence[float]) -> dict:
    quartiles = statistics.quantiles(values, n=4, method='inclusive') if len(values) > 1 else [values[0]] * 3
    return {'median': quartiles[1], 'low': quartiles[0], 'high': quartiles[2]}
