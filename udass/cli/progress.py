"""Show on one line of the terminal how far a training or a test is: iterations, time left, loss and memory."""

import logging
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import udass.io.quiet_import  # noqa: F401  # isort: skip
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner
from tqdm import tqdm

from udass.io.streams import terminals


class _LogAboveBar:
    """A stream for a log handler whose lines appear above the bars."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        tqdm.write(text, file=self._stream, end='')

    def flush(self) -> None:
        self._stream.flush()


def memory() -> int:
    """Bytes: the most that tensors took on the GPU, or without one the most that this process took."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class ProgressHook(Hook):
    """Bars of training, validation and test, drawn to a stream if it is a terminal."""

    # After the hook that reads the losses.
    priority = 'LOWEST'

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: list[tqdm] = []

    def _start(self, name: str, total: int, done: int = 0) -> None:
        options = {'unit': 'it' if name == 'train' else 'batch', 'leave': name != 'val', 'dynamic_ncols': True}
        # None: drawn in a terminal only.
        options['disable'] = None
        self._bars.append(tqdm(desc=name, total=total, initial=done, file=self._stream, **options))

    def close(self) -> None:
        """Remove or finish all bars."""
        while self._bars:
            self._bars.pop().close()

    def before_train(self, runner: Runner) -> None:
        self._start('train', runner.max_iters, runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        # What the log last read from the device: nothing here waits for it.
        loss = runner.message_hub.log_scalars.get('train/loss')
        shown = {'memory': f'{memory() / 2**30:.1f} GiB'}
        if loss is not None:
            shown = {'loss': f'{loss.current():.3f}', **shown}
        self._bars[0].set_postfix(shown, refresh=False)
        self._bars[0].update()

    def before_val(self, runner: Runner) -> None:
        self._start('val', len(runner.val_dataloader))

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: list | None = None
    ) -> None:
        self._bars[-1].update()

    def after_val(self, runner: Runner) -> None:
        self._bars.pop().close()

    def before_test(self, runner: Runner) -> None:
        self._start('test', len(runner.test_dataloader))

    after_test_iter, after_test = after_val_iter, after_val


@contextmanager
def progress(runner: Runner, stream: TextIO | None = None) -> Iterator[None]:
    """Inside, a terminal (of errors by default) shows bars in place of the lines of the log that count iterations."""
    # Not when this module is imported: notebooks and tests replace the stream.
    stream = sys.stderr if stream is None else stream
    if not stream.isatty() or not is_main_process():
        yield
        return
    hook = ProgressHook(stream)
    runner.register_hook(hook)

    def counts_nothing(record: logging.LogRecord) -> bool:
        return not (record.getMessage().startswith('Iter(') and 'eta: ' in record.getMessage())

    streams = {handler: handler.stream for handler in terminals(runner.logger)}
    for handler, before in streams.items():
        handler.setStream(_LogAboveBar(before))
        handler.addFilter(counts_nothing)
    try:
        yield
    finally:
        hook.close()
        for handler, before in streams.items():
            handler.setStream(before)
            handler.removeFilter(counts_nothing)
