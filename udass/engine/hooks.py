"""Hooks of the training: scalars for the log, losses and states that are not finite, and damaged files."""

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.hooks import Hook, LoggerHook, RuntimeInfoHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from udass.engine.optim import wrappers_by_name
from udass.evaluation.iou import write_scores
from udass.models.ranks import average_over_ranks_, running_statistics
from udass.uda.networks import unwrap
from udass.uda.training_model import TrainingModel

# How many names or messages an error lists.
_LISTED = 5
# Iterations. By then the scale, which starts at 2**16 and is halved each time, is smaller than any that is of use.
_UNSETTLED = 50


class IntervalHook(Hook):
    """Base of hooks that read from the device every ``interval`` iterations and after the last one."""

    interval: int | None

    def _set_interval(self, interval: int | None) -> None:
        if interval is not None and interval < 1:
            raise ValueError(f'interval must be at least 1 iteration, got {interval}')
        self.interval = interval

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        self._logger = next((hook for hook in runner.hooks if isinstance(hook, LoggerHook)), None)
        if self.interval is None:
            self.interval = 50 if self._logger is None else self._logger.interval

    def _reads_after(self, runner: Runner) -> bool:
        return self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)


@HOOKS.register_module()
class ScalarLogHook(IntervalHook, RuntimeInfoHook):
    """mmengine's RuntimeInfoHook without a device synchronisation per scalar and iteration.

    The scalars that ``train_step`` returns stay on the device and are read as one tensor at the end of each interval
    and of the training; the log gets their mean over the interval and over all processes. After a validation,
    ``validation.json`` in the work dir has its metrics, as ``udass test --json`` writes them, and whether the config
    tests in the same way.

    Args:
        interval: iterations between two readings; None takes that of the LoggerHook.
    """

    def __init__(self, interval: int | None = None) -> None:
        super().__init__()
        self._set_interval(interval)
        self._pending: dict[str, list[Tensor | float]] = {}
        self._logger: LoggerHook | None = None

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
            self._record(runner, mean_scalars(self._pending))
            self._pending = {}
        logger = self._logger
        # LoggerHook leaves out what comes after the last full interval, but for trainings of less than one.
        left_out = logger and logger.ignore_last and runner.max_iters > logger.interval
        if left_out and self.is_last_train_iter(runner) and not self.every_n_train_iters(runner, logger.interval):
            scalars, text = runner.log_processor.get_log_after_iter(runner, batch_idx, 'train')
            runner.logger.info(text)
            runner.visualizer.add_scalars(scalars, step=runner.iter + 1, file_path=logger.json_log_path)

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        super().after_val_epoch(runner, metrics)
        if not is_main_process():
            return
        model, config = unwrap(runner.model), runner.cfg
        same = [config.get(f'val_{part}') == config.get(f'test_{part}') for part in ('dataloader', 'evaluator')]
        write_scores(
            Path(runner.work_dir) / 'validation.json',
            runner.val_evaluator.metrics,
            metrics or {},
            iteration=runner.iter,
            is_test=all(same),
            images=len(runner.val_dataloader.dataset),
            branch=model.eval_branch if isinstance(model, TrainingModel) else 'student',
        )

    def _record(self, runner: Runner, means: dict[str, float]) -> None:
        """Adds the means to the log, and removes what was logged and not measured since: it would be repeated."""
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


def mean_scalars(pending: dict[str, list[Tensor | float]]) -> dict[str, float]:
    """Mean of each list of scalars over its entries and the processes, with one transfer from the device for all."""
    names = [name for name, values in pending.items() if isinstance(values[0], Tensor)]
    means = [torch.stack([value.reshape(()) for value in pending[name]]).float().mean() for name in names]
    joined = torch.stack(means) if means else torch.zeros(0)
    average_over_ranks_([joined] if means else [])
    read = dict(zip(names, joined.tolist(), strict=True))
    return {name: read[name] if name in read else sum(values) / len(values) for name, values in pending.items()}


@HOOKS.register_module()
class FiniteLossHook(IntervalHook):
    """Keeps gradients that are not finite out of the weights, and reports where they came from.

    Nothing here waits for the device before a step is made:

    * Right before an optimizer's update its gradients are checked on the device, after the reduction over processes.
      If one is not finite, a fused optimizer changes nothing, and others get gradients of zero: weights move by
      momentum and weight decay alone. Statistics of batch norm that the same iteration spoiled are restored.
    * Whether losses and gradients were finite is read once per interval. The report names the iteration, the losses
      (``<pass>.<loss>``) and the images of the batch; the count is part of the checkpoint.
    * Weights (the teacher's, too), statistics and moments can overflow by finite gradients. They are checked once per
      interval and before each checkpoint (`SafeCheckpointHook`): such a state ends the training and is never saved.

    In fp16 the loss scaler finds gradients that overflow before this hook sees them. They do not count, unless no step
    was made at all for 50 iterations.

    Args:
        max_skipped: iterations that may be left out in the whole training, each with a warning; one more saves a
            checkpoint and stops. 0 stops at the first.
        interval: iterations between two readings; None takes that of the LoggerHook.

    Raises:
        FloatingPointError: (out of the loop, after saving) more iterations than allowed were not finite, or the scale
            of fp16 does not settle; (without saving) the state is not finite.
    """

    priority = 'NORMAL'

    def __init__(self, max_skipped: int = 0, interval: int | None = None) -> None:
        if max_skipped < 0:
            raise ValueError(f'max_skipped must be at least 0, got {max_skipped}')
        self._set_interval(interval)
        self.max_skipped = max_skipped
        self.skipped: dict[int, str] = {}
        self._has_new = False
        # Per iteration its number, names, bool tensor of whether each was finite, and images.
        self._pending: list[tuple[int, list[str], Tensor, str]] = []
        self._non_finite: dict[str, Tensor] = {}
        # Of fused optimizers under a loss scaler: whether it left the step out.
        self._overflowed: dict[str, Tensor] = {}
        self._without_step: int | Tensor = 0
        self._statistics: list[Tensor] = []
        self._backup = torch.empty(0)

    def before_train(self, runner: Runner) -> None:
        super().before_train(runner)
        for name, one in wrappers_by_name(runner.optim_wrapper).items():
            one.optimizer.register_step_pre_hook(lambda optimizer, *_, name=name: self._before_step(name, optimizer))
            one.optimizer.register_step_post_hook(lambda optimizer, *_, name=name: self._after_step(name, optimizer))
        self._statistics = running_statistics(runner.model)

    def _before_step(self, name: str, optimizer: Any) -> None:
        if getattr(optimizer, 'found_inf', None) is not None:
            self._overflowed[name] = optimizer.found_inf.bool()
        else:
            self._non_finite[name] = keep_non_finite_out(optimizer)

    def _after_step(self, name: str, optimizer: Any) -> None:
        if name in self._non_finite and hasattr(optimizer, 'found_inf'):
            del optimizer.found_inf, optimizer.grad_scale

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        self._non_finite, self._overflowed = {}, {}
        if self._statistics:
            self._backup = torch.cat(self._statistics)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        losses = {name: value for name, value in (outputs or {}).items() if 'loss' in name and torch.is_tensor(value)}
        flags = {name: torch.isfinite(value.detach()).all() for name, value in losses.items()}
        flags |= {f'the gradients of {name}': ~non_finite for name, non_finite in self._non_finite.items()}
        # Without a step, which the loss scaler left out, what overflowed may have reached the statistics all the same.
        spoiled = [*self._non_finite.values(), *self._overflowed.values()]
        self._restore(torch.stack(spoiled).any() if spoiled else None)
        if self._non_finite:
            self._without_step = 0
        elif self._overflowed:
            self._without_step = (self._without_step + 1) * torch.stack(list(self._overflowed.values())).all()
        else:
            self._without_step += 1
        if flags:
            finite = torch.stack(list(flags.values()))
            self._pending.append((runner.iter + 1, list(flags), finite, _image_names(data_batch)))
        if self._reads_after(runner):
            self._read(runner)
            # A loss may be wrong in one process only, and each has images of its own.
            for skipped, new in all_gather_object((self.skipped, self._has_new)):
                self.skipped = {**skipped, **self.skipped}
                self._has_new |= new
            self._check(runner)
            self._check_state(runner)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self._read(runner)
        self._check(runner)
        checkpoint['meta']['skipped_iterations'] = dict(self.skipped)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.skipped = dict(checkpoint.get('meta', {}).get('skipped_iterations', {}))

    def _restore(self, spoiled: Tensor | None) -> None:
        """Takes the statistics of batch norm from before the iteration; without a flag those that are not finite."""
        if self._statistics:
            values = torch.cat(self._statistics)
            values = torch.where(~torch.isfinite(values) if spoiled is None else spoiled, self._backup, values)
            torch._foreach_copy_(self._statistics, values.split([len(value) for value in self._statistics]))

    def _read(self, runner: Runner) -> None:
        """Reads all pending flags with one transfer from the device; reports what is new."""
        finite = torch.cat([flags for _, _, flags, _ in self._pending]).tolist() if self._pending else []
        for iteration, names, _, images in self._pending:
            wrong = [name for name in names if not finite.pop(0)]
            if not wrong:
                continue
            if len([name for name in wrong if 'loss' in name]) > 1:
                # The parts of the total are named.
                wrong.remove('loss')
            self.skipped[iteration] = f'iteration {iteration}: {", ".join(wrong)} (images: {images})'
            self._has_new = True
            runner.logger.warning(
                f'Not finite in {self.skipped[iteration]}. Gradients that are not finite were left out '
                f'({len(self.skipped)} such iterations so far, {self.max_skipped} allowed)'
            )
        self._pending = []

    def _check(self, runner: Runner) -> None:
        if self._has_new and len(self.skipped) > self.max_skipped:
            runner.train_loop.failure = FloatingPointError(
                f'losses or gradients were not finite in {len(self.skipped)} iterations, {self.max_skipped} are '
                f'allowed: {"; ".join(list(self.skipped.values())[-_LISTED:])}. They reached no weight. Look at these '
                'images; a lower learning rate, a longer warm-up, clip_grad or full precision help against divergence. '
                '--resume goes on without these iterations; default_hooks.finite_loss.max_skipped says how many may be '
                'left out'
            )
        self._has_new = False

    def _check_state(self, runner: Runner) -> None:
        wrappers = wrappers_by_name(runner.optim_wrapper).values()
        if names := not_finite(runner.model, runner.optim_wrapper):
            runner.train_loop.failure = non_finite_state(names, runner.iter + 1)
        elif self._without_step >= _UNSETTLED:
            scales = [str(one.loss_scaler.get_scale()) for one in wrappers if hasattr(one, 'loss_scaler')]
            missed = int(self._without_step)
            runner.train_loop.failure = FloatingPointError(
                f'the gradients overflowed in each of the last {missed} iterations, and no step was made: '
                f'the loss scale of fp16 does not settle (it is {", ".join(scales)} now). The values are too large for '
                'fp16 whatever the scale: use bf16 (--amp bf16) or full precision'
            )


def not_finite(model: nn.Module, optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[str]:
    """Names of parameters, running statistics and optimizer moments that are not finite; waits for the device once."""
    values = {name.replace('module.', ''): value.detach() for name, value in model.named_parameters()}
    for wrapper in wrappers_by_name(optim_wrapper).values():
        for name, parameter in model.named_parameters():
            for key, moment in wrapper.optimizer.state.get(parameter, {}).items():
                if isinstance(moment, Tensor) and moment.shape == parameter.shape:
                    values[f'{key} of {name}'] = moment
    for number, value in enumerate(running_statistics(model)):
        values[f'statistics of batch norm {number}'] = value
    values = {name: value for name, value in values.items() if value.numel()}
    if not values:
        return []
    largest = torch._foreach_norm(list(values.values()), float('inf'))
    finite = torch.isfinite(torch.stack([value.double() for value in largest])).tolist()
    return [name for name, good in zip(values, finite, strict=True) if not good]


def non_finite_state(names: list[str], iteration: int) -> FloatingPointError:
    """The error of a training whose state is not finite."""
    return FloatingPointError(
        f'{len(names)} parts of the state are not finite after iteration {iteration}: {", ".join(names[:_LISTED])}. It '
        'is not saved. Go on from the newest checkpoint with --resume and a lower learning rate, clip_grad or full '
        'precision'
    )


def keep_non_finite_out(optimizer: Any) -> Tensor:  # of torch, whose class does not declare `found_inf`
    """Keeps gradients of which one is not finite out of an optimizer's next step, without waiting for the device;
    returns whether one was not, () bool.

    A fused step changes nothing then: it reads ``found_inf``, which loss scalers set and the caller deletes after the
    step. Other optimizers get gradients of zero.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    found = torch.zeros((), device=parameters[0].device)
    if gradients:
        # What loss scalers call: one operation for all gradients, which multiplies them by 1.
        torch._amp_foreach_non_finite_check_and_unscale_(gradients, found, torch.ones_like(found))
    non_finite = found.bool()
    if getattr(optimizer, '_step_supports_amp_scaling', False):
        optimizer.found_inf, optimizer.grad_scale = found, None
    else:
        for gradient in gradients:
            gradient.masked_fill_(non_finite, 0)
    return non_finite


def _image_names(data_batch: dict | None) -> str:
    """The image files of a batch, domain by domain."""
    found = []
    for domain, batch in (data_batch or {}).items():
        paths = [str(sample.metainfo.get('img_path', '?')) for sample in batch.get('data_samples', [])]
        found.append(f'{domain} {", ".join(paths)}')
    return '; '.join(found)


@HOOKS.register_module()
class DamagedFileHook(Hook):
    """Says whether training goes on around files that cannot be read or decoded, and counts them.

    A damaged file is replaced by another sample (see ``SeededDataset``). Each is named once in the log, and counted
    when its batch is trained on, by each process for itself; the count is part of the checkpoint.

    Args:
        max_files: damaged files that are tolerated in the whole training; one more saves a checkpoint and stops.
            0 stops at the first.

    Raises:
        ValueError: (out of the loop, after saving) there were more damaged files than allowed.
    """

    priority = 'NORMAL'

    def __init__(self, max_files: int = 0) -> None:
        if max_files < 0:
            raise ValueError(f'max_files must be at least 0, got {max_files}')
        self.max_files = max_files
        self.found: list[str] = []

    def before_train(self, runner: Runner) -> None:
        # The loaders start their workers with the first batch, which comes later.
        for loader in runner.train_dataloader.loaders.values():
            loader.dataset.max_replacements = self.max_files

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        samples = [sample for batch in (data_batch or {}).values() for sample in batch['data_samples']]
        before = len(self.found)
        for message in (message for sample in samples for message in sample.metainfo.get('damaged_files', ())):
            if message not in self.found:
                self.found.append(message)
                runner.logger.warning(
                    f'Damaged file, another sample was drawn ({len(self.found)} so far, '
                    f'{self.max_files} allowed): {message}'
                )
        if len(self.found) > max(before, self.max_files):
            runner.train_loop.failure = ValueError(
                f'{len(self.found)} damaged files, {self.max_files} are allowed: '
                f'{"; ".join(self.found[-_LISTED:])}. Repair them (`udass check` finds all), or resume with a '
                'higher default_hooks.damaged_files.max_files'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta']['damaged_files'] = list(self.found)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.found = list(checkpoint.get('meta', {}).get('damaged_files', []))
