"""Checkpoint files: atomic writing, and the hook that saves them."""
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from udass.engine.logs import file_only

_LAST = 'last_checkpoint'


@contextmanager
def atomic_target(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside ``path``; what is written there takes the place of ``path`` when the block ends.

    A crash or a full disk while writing leaves the file as it was.
    """
    temporary = path.with_name(f'.{path.name}.tmp')
    try:
        yield temporary
        with open(temporary, 'rb') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def latest_checkpoint(work_dir: Path) -> Path | None:
    """The checkpoint that training in ``work_dir`` wrote last, None where there is none.

    Raises:
        FileNotFoundError: the folder names a checkpoint that is gone.
    """
    record = Path(work_dir) / _LAST
    if not record.is_file():
        return None
    named = Path(record.read_text().strip())
    # The folder may have been moved since: look beside the record as well.
    for path in (named, Path(work_dir) / named.name):
        if path.is_file():
            return path
    found = ', '.join(sorted(path.name for path in Path(work_dir).glob('*.pth'))) or 'no *.pth file'
    raise FileNotFoundError(f'{record} names {named}, which does not exist; the folder holds {found}. Give the '
                            'checkpoint to resume from, or delete last_checkpoint to start again')


class PlainHistoryHook(Hook):
    """Keeps the histories of logged scalars in checkpoints as tensors, because mmengine's buffers do not load safely.

    ``UDARunner`` has it always; a config need not name it.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {key: [torch.as_tensor(part) for part in history.data]
                              for key, history in hub['log_scalars'].items()}
        # mmengine keeps the names of entries that are gone, and warns about each when it resumes.
        hub['resumed_keys'] = {key: value for key, value in hub['resumed_keys'].items()
                               if key in hub['log_scalars'] or key in hub['runtime_info']}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['log_scalars'] = {key: HistoryBuffer(values.tolist(), counts.tolist())
                                  for key, (values, counts) in hub['log_scalars'].items()}


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook in another order: write the new checkpoint, record it, then delete outdated ones.

    mmengine deletes first, so that a crash while writing can leave no checkpoint at all. Arguments as in
    ``CheckpointHook``; ``by_epoch`` must be False here.
    """

    def before_train(self, runner: Runner) -> None:
        # mmengine warns here about a class of its own that it still uses.
        with file_only(runner.logger, logging.ERROR):
            super().before_train(runner)

    def save_now(self, runner: Runner) -> str:
        """Saves between two iterations, outside the interval; returns the path."""
        self._save_checkpoint_with_step(runner, runner.iter, {'epoch': runner.epoch, 'iter': runner.iter})
        return self.last_ckpt

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = self._rotate(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir) / name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(self.out_dir, name, save_optimizer=self.save_optimizer,
                               save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch)
        if not is_main_process():
            return
        with atomic_target(Path(runner.work_dir) / _LAST) as temporary:
            temporary.write_text(self.last_ckpt)
        for path in outdated:
            path.unlink(missing_ok=True)

    def _rotate(self, runner: Runner, step: int) -> list[Path]:
        """Enters ``step`` into the list of kept checkpoints; returns the files that fall out of it."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return []
        outdated = []
        while len(self.keep_ckpt_ids) >= self.max_keep_ckpts:
            outdated.append(Path(self.out_dir) / self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        return outdated
