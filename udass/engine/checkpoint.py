"""Checkpoints: finding the newest whole one, who may write to a work dir, what they hold, and the hook that saves."""

import fcntl
import logging
import os
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from udass.engine.hooks import non_finite_state, not_finite
from udass.io.streams import file_only
from udass.io.writing import TEMPORARY, atomic_path
from udass.models.checkpoints import read_checkpoint
from udass.uda.networks import unwrap

_LAST, _LOCK, _LONGEST_PATH = 'last_checkpoint', '.lock', 4096
# What torch.load reads with weights_only=True, besides containers.
_READABLE = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.dtype, torch.device, torch.Size)


def damage_of(path: Path) -> str | None:
    """What is wrong with a checkpoint file, None if it is whole: compares it with its checksums, and reads it."""
    try:
        read_checkpoint(path)
    except Exception as error:  # A damaged archive raises whatever its damaged bytes happen to mean.
        reason = error.__cause__ or error
        size = f' ({path.stat().st_size} bytes)' if path.is_file() else ''
        return f'{str(reason) or type(reason).__name__}{size}'
    return None


def has_checkpoint(work_dir: Path) -> bool:
    """Whether training in ``work_dir`` has saved anything, whole or not."""
    return (Path(work_dir) / _LAST).is_file() or bool(_by_iteration(Path(work_dir)))


def resumable_checkpoint(work_dir: Path) -> Path | None:
    """The newest whole checkpoint of a work dir, None where nothing was ever saved; ValueError if none is whole.

    That is the one which ``last_checkpoint`` names. If it is gone or damaged, this is reported, and the next older
    one is tried; a file that no record names counts as well, as a run can be killed before it writes the record.
    """
    work_dir = Path(work_dir)
    recorded, problems = None, []
    try:
        recorded = latest_checkpoint(work_dir)
    except FileNotFoundError as error:
        problems.append(str(error).split(';')[0])
    found = _by_iteration(work_dir)
    if recorded is not None:
        # Files that are newer than the record come last: they are from before a resume, or not recorded any more.
        older = [path for path in found if _iteration(path) < _iteration(recorded)]
        found = list(dict.fromkeys([recorded, *older, *found]))
    for path in found:
        damage = damage_of(path)
        if damage is None:
            for problem in problems:
                print_log(f'{problem}. Going on from {path}', logger='current', level=logging.WARNING)
            return path
        problems.append(f'{path} is damaged: {damage}')
    if problems:
        raise ValueError(
            f'nothing in {work_dir} can be resumed: {"; ".join(problems)}. Copy a whole checkpoint there and give '
            '--resume FILE, or start again in another work dir'
        )
    return None


def _by_iteration(work_dir: Path) -> list[Path]:
    """Checkpoints of a folder under the names that training gives them, the newest first."""
    found = [path for path in work_dir.glob('iter_*.pth') if _iteration(path) >= 0]
    return sorted(found, key=_iteration, reverse=True)


def _iteration(path: Path) -> int:
    """Number in the name of a checkpoint, -1 if it has none."""
    number = path.stem.removeprefix('iter_')
    return int(number) if number.isdecimal() else -1


def latest_checkpoint(work_dir: Path) -> Path | None:
    """The checkpoint that training in ``work_dir`` recorded as its last, None where there is none; FileNotFoundError if
    the recorded one is gone."""
    record = Path(work_dir) / _LAST
    if not record.is_file():
        return None
    with open(record, 'rb') as file:
        # Whatever overwrote it: no path is longer.
        text = os.fsdecode(file.read(_LONGEST_PATH)).strip()
    # The folder may have been moved or copied since: what is beside the record is meant.
    for path in (Path(work_dir) / Path(text).name, Path(text)):
        if os.path.isfile(path):  # No for what cannot be a path.
            return path
    found = ', '.join(sorted(path.name for path in Path(work_dir).glob('*.pth'))) or 'no *.pth file'
    readable = text if text.isprintable() and len(text) < 200 else repr(text[:200])
    raise FileNotFoundError(
        f'{record} names {readable}, which does not exist; the folder holds {found}. Give the checkpoint to resume '
        'from, or delete last_checkpoint to start again'
    )


@contextmanager
def locked(work_dir: Path) -> Iterator[None]:
    """Inside, no other training runs in the folder, on this machine or on another that shares it.

    The lock is the kernel's: it ends with its process, so that a stale file is simply taken over. The file holds the
    owner's name, which the ValueError of another training tells.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    with open(work_dir / _LOCK, 'a+') as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            file.seek(0)
            raise ValueError(
                f'another training runs in {work_dir}: {file.read().strip() or "owner unknown"}. Wait for it, end it, '
                'or choose another --work-dir'
            ) from error
        except OSError as error:
            message = f'{work_dir} cannot be locked ({error.strerror}): make sure that no other training writes there'
            print_log(message, logger='current', level=logging.WARNING)
        file.truncate(0)
        file.write(f'process {os.getpid()} on {socket.gethostname()} since {time.strftime("%Y-%m-%d %H:%M:%S")}\n')
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def check_unused(work_dir: Path, resume: bool, load_from: str | None) -> None:
    """Raises ValueError if a folder holds checkpoints of a training that this one does not go on with; ``load_from`` is
    the checkpoint to go on from, or None for the newest of the folder."""
    if not has_checkpoint(work_dir) or (resume and load_from is None):
        return
    if not resume:
        raise ValueError(
            f'{work_dir} holds the checkpoints of another training, which would be overwritten. --resume continues '
            'it; for a new training choose another --work-dir, or delete this one'
        )
    if Path(load_from).resolve().parent != work_dir.resolve():
        raise ValueError(
            f'{work_dir} holds checkpoints already, which a training that goes on from {load_from} would overwrite. '
            f'--resume without a file goes on from the newest of them; to go on from {load_from}, choose another '
            '--work-dir'
        )


def to_plain(value: object) -> Any:  # noqa: ANN401  the kind of the result follows from the value
    """A value of a checkpoint as torch.load reads it with ``weights_only=True``: of mappings of mmengine, of NumPy's
    numbers and arrays, and of paths plain ones, and text of what has no plain form; tensors stay."""
    if isinstance(value, torch.Tensor) or type(value) in _READABLE:
        return value
    if isinstance(value, Mapping):
        kind = type(value) if type(value) in (OrderedDict, Counter) else dict
        result = kind()
        for key, item in value.items():
            result[to_plain(key)] = to_plain(item)
        if kind is OrderedDict:
            # A state dict says there which versions its modules have.
            vars(result).update(vars(value))
        return result
    if isinstance(value, np.ndarray):
        return to_plain(value.tolist())
    if isinstance(value, np.generic):
        item = value.item()
        # Numbers that Python has no type for stay those of NumPy.
        return str(item) if isinstance(item, np.generic) else to_plain(item)
    for kind in (int, float, complex, str, bytes):
        if isinstance(value, kind):
            return kind(value)
    for kind, result in ((tuple, tuple), (Set, set), (Sequence, list)):
        if isinstance(value, kind):
            return result(map(to_plain, value))
    return str(value)


class PlainContentHook(Hook):
    """Makes everything in checkpoints tensors and plain values, because nothing else loads safely.

    ``UDARunner`` always has this hook. It comes last, because other hooks add to a checkpoint.
    """

    priority = 'LOWEST'

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        hub = checkpoint['message_hub']
        hub['log_scalars'] = {
            key: [torch.as_tensor(part) for part in history.data] for key, history in hub['log_scalars'].items()
        }
        # mmengine keeps the names of entries that are gone, and warns about each when it resumes.
        present = hub['log_scalars'].keys() | hub['runtime_info'].keys()
        hub['resumed_keys'] = {key: value for key, value in hub['resumed_keys'].items() if key in present}
        # A parameter that networks share is in the file once; copies from the device are several.
        state, first = checkpoint['state_dict'], {}
        for name, value in unwrap(runner.model).state_dict(keep_vars=True).items():
            state[name] = state[first.setdefault(id(value), name)]
        checkpoint.update(to_plain(checkpoint))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['log_scalars'] = {
                key: HistoryBuffer(values.tolist(), counts.tolist())
                for key, (values, counts) in hub['log_scalars'].items()
            }
            hub['runtime_info'] = _without_foreign_files(hub['runtime_info'], Path(runner.work_dir).resolve())


def _without_foreign_files(runtime_info: dict, work_dir: Path) -> dict:
    """What a run knows, without files outside its work dir: mmengine deletes the best and the outdated checkpoints."""
    own = {
        key: value
        for key, value in runtime_info.items()
        if not key.startswith('best_ckpt') or Path(str(value)).resolve().is_relative_to(work_dir)
    }
    if 'keep_ckpt_ids' in own:
        own['keep_ckpt_ids'] = [number for number in own['keep_ckpt_ids'] if isinstance(number, int)]
    return own


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook in another order: write the new checkpoint, record it, then delete outdated ones.

    mmengine deletes first, so that a crash while writing can leave no checkpoint at all. A state that is not finite is
    not saved, and ends the training. What a killed run left half written or undeleted is removed when training starts.
    Arguments as in ``CheckpointHook``; ``by_epoch`` must be False here.
    """

    def before_train(self, runner: Runner) -> None:
        # mmengine warns here about a class of its own that it still uses.
        with file_only(runner.logger, logging.ERROR):
            super().before_train(runner)
        if is_main_process():
            # Of this machine and of others: no other run writes to these folders.
            for folder in (self.out_dir, runner.work_dir):
                for path in Path(folder).glob(TEMPORARY):
                    path.unlink(missing_ok=True)

    def save_now(self, runner: Runner) -> str | None:
        """Saves between two iterations, outside the interval; returns the path, None if the state is not finite."""
        return self._save_checkpoint_with_step(runner, runner.iter, {'epoch': runner.epoch, 'iter': runner.iter})

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> str | None:
        spoiled = not_finite(runner.model, runner.optim_wrapper)
        if runner.host_exchange.any(bool(spoiled)):
            runner.train_loop.failure = non_finite_state(spoiled or ['those of another process'], step)
            return None
        with runner.guard.saving():
            self._write(runner, step, meta)
        return self.last_ckpt

    def _write(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = self._rotate(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = str(Path(self.out_dir) / name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        options = dict(save_optimizer=self.save_optimizer, save_param_scheduler=self.save_param_scheduler)
        runner.save_checkpoint(self.out_dir, name, meta=meta, by_epoch=self.by_epoch, **options)
        if not is_main_process():
            return
        with atomic_path(Path(runner.work_dir) / _LAST, durable=True) as temporary:
            temporary.write_text(self.last_ckpt)
        for path in outdated:
            path.unlink(missing_ok=True)

    def _rotate(self, runner: Runner, step: int) -> list[Path]:
        """Enters ``step`` into the list of checkpoints; returns the files that fall out of it."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return []
        # The new checkpoint still lists those that are about to be deleted: if the run is killed in between, the
        # resumed one deletes them when it starts.
        runner.message_hub.update_info('keep_ckpt_ids', [*self.keep_ckpt_ids, step])
        outdated = []
        while len(self.keep_ckpt_ids) >= self.max_keep_ckpts:
            outdated.append(Path(self.out_dir) / self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
        self.keep_ckpt_ids.append(step)
        return outdated
