"""Hooks that keep a training from being spoiled: losses that are not finite, files that are damaged."""

from dataclasses import dataclass

import torch
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook, LoggerHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn

from udass.models.ranks import running_statistics

_SHOWN = 5
# Iterations. By then the scale, which starts at 2**16 and is halved each time, is smaller than any that is of use.
_UNSETTLED = 50


@dataclass(frozen=True)
class _Checked:
    """One iteration, before its flags are read: ``finite`` is a bool tensor on the device, one flag per name."""

    iteration: int
    names: list[str]
    finite: Tensor
    files: str


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Keeps gradients that are not finite out of the weights, and says where they came from.

    The step must not wait for the device, so that nothing here asks whether a loss is finite before the step is taken.
    Instead:

    * Right before an optimizer's update, its gradients are set to zero *on the device* if any of them is not finite
      (after the reduction over processes, so that all of them decide alike). The iteration counts as one without a
      gradient: weights move by momentum and weight decay alone, and never become NaN.
    * Statistics of batch norm that the same iteration spoiled are put back, as well on the device.
    * Whether each loss and the gradients were finite is noted on the device and read once per interval, for all of its
      iterations at once. The report names the iteration, the losses (``<pass>.<loss>``) and the images of the batch.

    * Weights (the teacher's, too), statistics and the optimizer's moments can overflow by finite gradients. They are
      looked at once per interval, and before each checkpoint (`SafeCheckpointHook`): such a state ends the training and
      is never saved.

    So the state is whole whenever the report of a loss comes, up to an interval later, and can be saved and resumed.
    The count is part of the checkpoint. In fp16 the loss scaler takes out gradients that overflow, before this hook
    sees them: they are no fault and do not count, unless no step was made at all for ``_UNSETTLED`` iterations.

    Args:
        max_skipped (int): iterations that may be left out in the whole training, each with a warning; one more saves a
            checkpoint and stops. 0 stops at the first.
        interval (int | None): iterations between two readings; None takes that of the LoggerHook.

    Raises:
        FloatingPointError: (out of the loop, after saving) more iterations than allowed were not finite, or the scale
            of fp16 does not settle; (without saving) the state is not finite.
    """

    priority = 'NORMAL'

    def __init__(self, max_skipped: int = 0, interval: int | None = None) -> None:
        if max_skipped < 0 or (interval is not None and interval < 1):
            raise ValueError(
                f'max_skipped must be at least 0 and interval at least 1 iteration, got {max_skipped} and {interval}'
            )
        self.max_skipped = max_skipped
        self.interval = interval
        self.skipped: dict[int, str] = {}
        self._new = False
        self._pending: list[_Checked] = []
        self._non_finite: dict[str, Tensor] = {}
        self._without_step = 0
        self._statistics: list[Tensor] = []
        self._backup: list[Tensor] = []

    def before_train(self, runner: Runner) -> None:
        if self.interval is None:
            loggers = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
            self.interval = loggers[0] if loggers else 50
        for name, one in _wrappers(runner.optim_wrapper).items():
            one.optimizer.register_step_pre_hook(
                lambda optimizer, args, kwargs, name=name: self._non_finite.update(
                    {name: zero_unless_finite(optimizer)}
                )
            )
        self._statistics = running_statistics(runner.model)
        self._backup = [value.clone() for value in self._statistics]

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        self._non_finite = {}
        if self._statistics:
            torch._foreach_copy_(self._backup, self._statistics)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        flags = {
            name: torch.isfinite(value.detach()).all()
            for name, value in (outputs or {}).items()
            if 'loss' in name and isinstance(value, Tensor)
        }
        flags |= {f'the gradients of {name}': ~non_finite for name, non_finite in self._non_finite.items()}
        if self._non_finite:
            self._restore(torch.stack(list(self._non_finite.values())).any())
        else:
            # The loss scaler left the step out: what overflowed may have reached the statistics.
            self._restore(None)
        self._without_step = 0 if self._non_finite else self._without_step + 1
        if flags:
            self._pending.append(
                _Checked(runner.iter + 1, list(flags), torch.stack(list(flags.values())), named_images(data_batch))
            )
        if self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner):
            self._read(runner)
            # A loss may be wrong in one process only, and each has images of its own.
            for skipped, new in all_gather_object((self.skipped, self._new)):
                self.skipped = {**skipped, **self.skipped}
                self._new |= new
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
        for value, before in zip(self._statistics, self._backup, strict=True):
            torch.where(~torch.isfinite(value) if spoiled is None else spoiled, before, value, out=value)

    def _read(self, runner: Runner) -> None:
        """Reads all pending flags with one transfer from the device; reports what is new."""
        finite = torch.cat([one.finite for one in self._pending]).tolist() if self._pending else []
        for one in self._pending:
            wrong = [name for name in one.names if not finite.pop(0)]
            if not wrong:
                continue
            if len([name for name in wrong if 'loss' in name]) > 1:
                # The total says nothing that its parts do not.
                wrong.remove('loss')
            self.skipped[one.iteration] = f'iteration {one.iteration}: {", ".join(wrong)} (images: {one.files})'
            self._new = True
            runner.logger.warning(
                f'Not finite in {self.skipped[one.iteration]}. Gradients that are not finite were '
                f'left out ({len(self.skipped)} such iterations so far, {self.max_skipped} allowed)'
            )
        self._pending = []

    def _check(self, runner: Runner) -> None:
        if self._new and len(self.skipped) > self.max_skipped:
            last = list(self.skipped.values())[-_SHOWN:]
            runner.train_loop.failure = FloatingPointError(
                f'losses or gradients were not finite in {len(self.skipped)} iterations, {self.max_skipped} are '
                f'allowed: {"; ".join(last)}. They reached no weight. Look at these images; a lower learning rate, a '
                'longer warm-up, clip_grad or full precision help against divergence. --resume goes on without these '
                'iterations; default_hooks.finite_loss.max_skipped says how many may be left out'
            )
        self._new = False

    def _check_state(self, runner: Runner) -> None:
        names = not_finite(runner.model, runner.optim_wrapper)
        if names:
            runner.train_loop.failure = non_finite_state(names, runner.iter + 1)
        elif self._without_step >= _UNSETTLED:
            scales = [
                wrapper.loss_scaler.get_scale()
                for wrapper in _wrappers(runner.optim_wrapper).values()
                if hasattr(wrapper, 'loss_scaler')
            ]
            runner.train_loop.failure = FloatingPointError(
                f'the gradients overflowed in each of the last {self._without_step} iterations, and no step was made: '
                f'the loss scale of fp16 does not settle (it is {", ".join(map(str, scales))} now). The values are too '
                'large for fp16 whatever the scale: use bf16 (--amp bf16) or full precision'
            )


def _wrappers(optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, OptimWrapper]:
    return dict(optim_wrapper.items()) if isinstance(optim_wrapper, OptimWrapperDict) else {'student': optim_wrapper}


def not_finite(model: nn.Module, optim_wrapper: OptimWrapper | OptimWrapperDict) -> list[str]:
    """Names of parameters, running statistics and optimizer moments that are not finite; waits for the device once."""
    values = {name.replace('module.', ''): value.detach() for name, value in model.named_parameters()}
    moments = {
        f'{key} of {name}': moment
        for wrapper in _wrappers(optim_wrapper).values()
        for name, parameter in model.named_parameters()
        for key, moment in wrapper.optimizer.state.get(parameter, {}).items()
        if isinstance(moment, Tensor) and moment.shape == parameter.shape
    }
    statistics = {f'statistics of batch norm {number}': value for number, value in enumerate(running_statistics(model))}
    values = {name: value for name, value in {**values, **moments, **statistics}.items() if value.numel()}
    if not values:
        return []
    largest = torch._foreach_norm(list(values.values()), float('inf'))
    finite = torch.isfinite(torch.stack([value.double() for value in largest])).tolist()
    return [name for name, good in zip(values, finite, strict=True) if not good]


def non_finite_state(names: list[str], iteration: int) -> FloatingPointError:
    """What to raise when the state is spoiled."""
    return FloatingPointError(
        f'{len(names)} parts of the state are not finite after iteration {iteration}: {", ".join(names[:_SHOWN])}. It '
        'is not saved. Go on from the newest checkpoint with --resume and a lower learning rate, clip_grad or full '
        'precision'
    )


def zero_unless_finite(optimizer: torch.optim.Optimizer) -> Tensor:
    """Sets all gradients of an optimizer to zero if one of them is not finite, without waiting for the device.

    Returns:
        Tensor: () bool, whether one was not finite.
    """
    gradients = [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group['params']
        if parameter.grad is not None
    ]
    if not gradients:
        return torch.zeros((), dtype=torch.bool, device=optimizer.param_groups[0]['params'][0].device)
    # The largest magnitude of each; unlike a sum of squares it cannot overflow. NaN stays NaN.
    largest = torch._foreach_norm(gradients, float('inf'))
    non_finite = ~torch.isfinite(torch.stack([value.float() for value in largest])).all()
    for gradient in gradients:
        gradient.masked_fill_(non_finite, 0)
    return non_finite


def named_images(data_batch: dict | None) -> str:
    """The image files of a batch, domain by domain."""
    found = []
    for domain, batch in (data_batch or {}).items():
        paths = [str(sample.metainfo.get('img_path', '?')) for sample in batch.get('data_samples', [])]
        found.append(f'{domain} {", ".join(paths)}')
    return '; '.join(found)


@HOOKS.register_module()
class DamagedFileHook(Hook):
    """Says whether training goes on around files that cannot be read or decoded, and counts them.

    A damaged file is replaced by another draw (see ``SeededDataset``), the same one whatever the number of workers and
    after a resume. Each file is named once in the log, and counted when its batch is trained on; the count is part of
    the checkpoint. In a distributed run each process counts its own.

    Args:
        max_files (int): damaged files that are tolerated in the whole training; one more saves a checkpoint and stops.
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
        known = len(self.found)
        for message in (message for sample in samples for message in sample.metainfo.get('damaged_files', ())):
            if message not in self.found:
                self.found.append(message)
                runner.logger.warning(
                    f'Damaged file, another sample was drawn ({len(self.found)} so far, '
                    f'{self.max_files} allowed): {message}'
                )
        if len(self.found) > max(known, self.max_files):
            runner.train_loop.failure = ValueError(
                f'{len(self.found)} damaged files, {self.max_files} are allowed: '
                f'{"; ".join(self.found[-_SHOWN:])}. Repair them (tools/check_dataset.py finds all), or resume with a '
                'higher default_hooks.damaged_files.max_files'
            )

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta']['damaged_files'] = list(self.found)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        self.found = list(checkpoint.get('meta', {}).get('damaged_files', []))
