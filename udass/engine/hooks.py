"""Hooks of the training run: scalars for the log."""

from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor

from udass.evaluation.iou import write_scores
from udass.models.ranks import average_over_ranks_
from udass.uda.networks import unwrap
from udass.uda.training_model import TrainingModel


@HOOKS.register_module()
class ScalarLogHook(RuntimeInfoHook):
    """mmengine's RuntimeInfoHook without a device synchronisation per scalar and iteration.

    The scalars that ``train_step`` returns stay on the device and are read as one tensor at the end of each interval;
    the log gets their mean over the interval and over all processes. What was measured since the last line of the log
    is in the next one, also if its name does not come any more (losses change their names where a method does
    something new), and so is what comes after the last full interval. After a validation, ``validation.json`` in the
    work dir has its scores, as ``tools/test.py --json`` writes them, and whether the config tests in the same way.

    Args:
        interval (int | None): iterations between two readings; None takes that of the LoggerHook.
    """

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()
        if interval is not None and interval < 1:
            raise ValueError(f'interval must be at least 1 iteration, got {interval}')
        self.interval = interval
        self._pending: dict[str, list[Tensor | float]] = {}
        self._logger: LoggerHook | None = None

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self._logger = next((hook for hook in runner.hooks if isinstance(hook, LoggerHook)), None)
        if self.interval is None:
            self.interval = 50 if self._logger is None else self._logger.interval

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self._reads_after(runner):
            super().before_train_iter(runner, batch_idx, data_batch)
        else:
            runner.message_hub.update_info('iter', runner.iter)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        for name, value in (outputs or {}).items():
            self._pending.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else value)
        if self._reads_after(runner):
            self._record(runner, _read_means(self._pending))
            self._pending = {}
        if (
            self._logger is not None
            and self.is_last_train_iter(runner)
            and not self.every_n_train_iters(runner, self._logger.interval)
        ):
            # LoggerHook leaves out what comes after the last full interval.
            scalars, text = runner.log_processor.get_log_after_iter(runner, batch_idx, 'train')
            runner.logger.info(text)
            runner.visualizer.add_scalars(scalars, step=runner.iter + 1, file_path=self._logger.json_log_path)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        if is_main_process():
            model = unwrap(runner.model)
            is_test = all(
                runner.cfg.get(f'val_{part}') == runner.cfg.get(f'test_{part}') for part in ('dataloader', 'evaluator')
            )
            write_scores(
                Path(runner.work_dir) / 'validation.json',
                runner.val_evaluator.metrics,
                metrics or {},
                iteration=runner.iter,
                is_test=is_test,
                images=len(runner.val_dataloader.dataset),
                branch=model.eval_branch if isinstance(model, TrainingModel) else 'student',
            )

    def _record(self, runner: Runner, means: dict[str, float]) -> None:
        """Hands the means to the log, and takes out what was logged and not measured since: it would be repeated for
        ever."""
        hub, iteration = runner.message_hub, runner.iter + 1
        interval = self.interval if self._logger is None else self._logger.interval
        last_logged = (iteration - 1) // interval * interval
        read_at = dict(hub.get_info('scalars_read_at', {}))
        for name in [name for name, read in read_at.items() if read <= last_logged and name not in means]:
            hub.log_scalars.pop(f'train/{name}', None)
            del read_at[name]
        for name, mean in means.items():
            hub.update_scalar(f'train/{name}', mean)
        hub.update_info('scalars_read_at', {**read_at, **dict.fromkeys(means, iteration)})

    def _reads_after(self, runner: Runner) -> bool:
        return self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)


def _read_means(pending: dict[str, list[Tensor | float]]) -> dict[str, float]:
    """Mean of each list of scalars over its entries and the processes, with one transfer from the device for all."""
    names, means = [], []
    for name, values in pending.items():
        if isinstance(values[0], Tensor):
            names.append(name)
            means.append(torch.stack([value.reshape(()) for value in values]).float().mean())
    joined = torch.stack(means) if means else torch.zeros(0)
    average_over_ranks_([joined] if means else [])
    read = dict(zip(names, joined.tolist(), strict=True))
    return {name: read[name] if name in read else sum(values) / len(values) for name, values in pending.items()}
