"""The training loop of domain adaptation: several dataloaders, one iteration."""

import signal
import time
from collections.abc import Sequence
from traceback import clear_frames
from zlib import crc32

import torch
from mmengine.device import get_device
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS

from udass.engine.checkpoint import SafeCheckpointHook
from udass.engine.data_loader import (
    DomainLoader,
    build_loader,
    chain_of,
    check_same_classes,
    disable_malloc_trim,
    domain_configs,
    explain_loader_error,
)
from udass.engine.distributed import (
    check_same,
    preserved_random_state,
    seed_generators,
    set_random_state,
    sync_batch_norm_statistics,
)
from udass.engine.interrupt import Interrupted, InterruptGuard
from udass.engine.optim import accumulative_counts
from udass.io.streams import drop_broken_streams
from udass.models.ranks import seed_of_rank
from udass.uda.networks import unwrap
from udass.uda.training_model import TrainingModel


@LOOPS.register_module()
class UDATrainLoop(IterBasedTrainLoop):
    """Trains by iterations on batches of several domains.

    ``train_dataloader`` of the config is a dict of one dataloader config per domain, each with a plain mmseg dataset
    and without a sampler: the loop makes the streams endless, repeatable, independent of each other and of the number
    of workers (``SeededInfiniteSampler``, ``SeededDataset``), and adds the samplings of a method. With a GPU, batches
    are in pinned memory unless a config says ``pin_memory=False``.

    ``optim_wrapper.accumulative_counts=n`` makes one iteration of n batches of each dataloader, which go through the
    networks one after the other. Everything that is counted in iterations keeps its meaning; mmengine would count n.

    An interrupt (Ctrl-C, SIGTERM, SIGHUP, SIGUSR1) ends the iteration, or at once the wait for data or the validation,
    saves a checkpoint and leaves with exit status 128 + signal. A hook that finds that the training must not go on sets
    ``failure``: the loop saves a checkpoint and raises it. An error of a loader is raised after saving, too, and so is
    the death of one of its workers.

    Args:
        dataloader: domain -> dataloader config.
        max_iters: iterations of the whole training.
        val_begin: first iteration after which to validate.
        val_interval: validate every so many iterations, and after the last one.
        domains: domains to load; others in ``dataloader`` are left alone. The first is the labelled source.
        source_sampling: config of a dataset wrapper that draws from the source, such as a ``RareClassDataset``; None
            draws every image equally often.
        long_tail: config of a third stream, ``long_tail``, of source images that contain a rare class:
            ``draws`` (rare classes per iteration), ``mixes`` (mixed images per target image that get a paste), 2 each
            by default, ``pipeline`` (None takes the source's), and arguments of ``LongTailDataset``. Its batch holds
            draws x mixes x source batch images.

    Raises:
        ValueError: the runner or the model cannot do this, a number of iterations is less than 1, a domain has no
            dataloader, a dataloader brings its own sampler, or the domains have different classes.
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: dict,
        max_iters: int,
        val_begin: int = 1,
        val_interval: int = 1000,
        domains: Sequence[str] = ('source', 'target'),
        source_sampling: dict | None = None,
        long_tail: dict | None = None,
    ) -> None:
        if not hasattr(runner, 'host_exchange'):
            raise ValueError(
                f'UDATrainLoop needs the runner of this project, not a {type(runner).__name__}: call '
                'UDARunner.from_cfg(cfg).train(), after `from udass.engine import UDARunner`, or udass train'
            )
        model = _training_model(runner, domains)
        for name, value in (('max_iters', max_iters), ('val_begin', val_begin), ('val_interval', val_interval)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'train_cfg.{name} must be a number of iterations, at least 1; got {value!r}')
        model.accumulative_counts = accumulative_counts(runner.optim_wrapper)
        configs = domain_configs(dataloader, domains, source_sampling, long_tail, model.accumulative_counts)
        loaders = {domain: build_loader(runner, config) for domain, config in configs.items()}
        check_same_classes(loaders)
        loader = DomainLoader(loaders, length=max_iters, starts={'long_tail': model.long_tail_start})
        super().__init__(runner, loader, max_iters, val_begin, val_interval)
        model.use_metainfo(loader.dataset.metainfo)
        self.resumed_random_state: dict | None = None
        self.failure: Exception | None = None
        self._first_iter = 0

    def run(self) -> torch.nn.Module:
        """Trains to the last iteration, and returns the model. After saving, an interrupt raises SystemExit with status
        128 + signal (130 after Ctrl-C), and what a hook put into ``failure`` is raised."""
        self._first_iter = self._iter
        if get_device() == 'cpu':
            disable_malloc_trim()
        check_same_start(self.runner)
        with self.runner.guard as guard:
            self.runner.call_hook('before_train')
            self.runner.call_hook('before_train_epoch')
            if self._iter > 0:
                self.runner.logger.info(f'Continuing the data streams after iteration {self._iter}')
                self.dataloader.skip(self._iter)
            self.dataloader_iterator = iter(self.dataloader)
            self._start_random_state()
            try:
                self._run_iterations(guard)
            except Interrupted:
                self._save_and_exit(guard)
            finally:
                # Left to the garbage collector, each worker can take 5 seconds to end.
                self.dataloader_iterator.close()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _start_random_state(self) -> None:
        if self.resumed_random_state is not None:
            set_random_state(self.resumed_random_state)
        elif self.runner.rank > 0 or self._iter > 0:
            # Networks are built from one seed on all processes; dropout is each one's own.
            seed_generators(seed_of_rank(self.runner.seed, self.runner.rank, self._iter))

    def _run_iterations(self, guard: InterruptGuard) -> None:
        if self._validation_is_due():
            # The checkpoint of an iteration is written before its validation.
            self._validate(guard)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(self._next_batch(guard))
            self._stop_if_any(guard.signum is not None or self.failure is not None)
            if self._validation_is_due():
                self._validate(guard)

    def _next_batch(self, guard: InterruptGuard) -> dict:
        # Workers may take long to start or to read; waiting for them changes nothing. Without workers the batch is
        # made here, and the random states are restored after each sample: that must not be cut short.
        immediate = not self.runner.distributed and self.dataloader.has_workers
        batch = None
        try:
            with guard.waiting(immediate):
                try:
                    batch = next(self.dataloader_iterator)
                except (ConnectionError, EOFError):
                    # A batch of a worker that has just died. In a moment torch's handler says what it died of.
                    time.sleep(1)
                    raise
        except Exception as error:
            # Between two batches nothing is half-done. A SIGTERM to the whole process group may have ended the workers.
            if guard.signum is None or not isinstance(error, RuntimeError):
                self._save_before(error)
        self._stop_if_any(batch is None)
        return batch

    def _stop_if_any(self, stop: bool) -> None:
        """All processes leave at the same iteration, or the rest would wait for the missing one for ever."""
        if self.runner.host_exchange.any(stop):
            raise Interrupted

    def _validation_is_due(self) -> bool:
        if self.runner.val_loop is None or self._iter < max(self.val_begin, 1):
            return False
        if self.runner.message_hub.get_info('last_validation') == self._iter:
            return False
        return self._iter % self.val_interval == 0 or self._iter == self._max_iters

    def _validate(self, guard: InterruptGuard) -> None:
        distributed, model = self.runner.distributed, unwrap(self.runner.model)
        try:
            # Building the loader's iterator draws from torch's generator: the training must not notice.
            with preserved_random_state(), sync_batch_norm_statistics(model), guard.waiting(not distributed):
                self.runner.val_loop.run()
        except Exception as error:
            # Other processes are in the middle of their part and cannot be told.
            if distributed:
                raise explain_loader_error(error) from error
            # A signal ends the workers of the validation, too.
            if guard.signum is None or not isinstance(error, RuntimeError):
                self._save_before(error)
            raise Interrupted from None
        self.runner.message_hub.update_info('last_validation', self._iter)

    def _save_before(self, error: Exception) -> None:
        """Raises an error after saving; of several processes all save and stop with the one that has it."""
        # Saving may need the memory and the descriptors of the loaders, which live as long as the errors' frames.
        for one in chain_of(error):
            clear_frames(one.__traceback__)
        error = explain_loader_error(error)
        self.dataloader_iterator.close()
        if self.runner.distributed:
            self.failure = error
            self._stop_if_any(True)
        if self._iter > self._first_iter:
            self._save()
        raise error

    def _save(self) -> None:
        """Saves the state between two iterations, and says so."""
        drop_broken_streams()
        runner = self.runner
        if runner.guard.signum is not None:
            runner.logger.info(f'Interrupted by {signal.Signals(runner.guard.signum).name}: saving')
        hook = next((hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook)), None)
        with runner.guard.saving():
            saved = hook and hook.save_now(runner)
            # torchrun ends the others as soon as one has gone: it must not be before the checkpoint is written.
            runner.host_exchange.wait()
            if saved is not None:
                advice = f'saved as {saved}. To go on, give the same command with --resume'
            elif hook is not None:
                advice = 'not saved: the state is not finite. The checkpoints before it stay as they are'
            else:
                advice = 'not saved: default_hooks.checkpoint is not a SafeCheckpointHook'
            runner.logger.info(f'Stopped after iteration {self._iter} of {self._max_iters}, {advice}.')
            runner.visualizer.close()

    def _save_and_exit(self, guard: InterruptGuard) -> None:
        self._save()
        if self.failure is not None:
            raise self.failure from None
        # In a distributed run the signal may have reached another process only; then it counts as Ctrl-C.
        raise SystemExit(128 + (guard.signum or 2))


def _training_model(runner: Runner, domains: Sequence[str]) -> TrainingModel:
    """The model without a wrapper, if it can be trained on these domains."""
    model = unwrap(runner.model)
    if not isinstance(model, TrainingModel):
        raise ValueError(
            f'UDATrainLoop trains a TrainingModel, such as DomainAdapter, not a {type(model).__name__}: to train a '
            'bare segmentor, use IterBasedTrainLoop of mmengine'
        )
    if model.needs_target and len(domains) < 2:
        raise ValueError(
            f'{type(model).__name__} with these components also learns from the target, but train_cfg.domains is '
            f'{tuple(domains)}: name source and target, or leave these components out'
        )
    return model


def check_same_start(runner: Runner) -> None:
    """Compares what the processes of a run are about to train on, and from which weights."""
    if not runner.distributed:
        return
    streams = {}
    for domain, loader in runner.train_dataloader.loaders.items():
        dataset = loader.dataset.dataset
        digest = crc32(repr([dataset.get_data_info(index) for index in range(len(dataset))]).encode())
        streams[f'the data of {domain}'] = f'{len(dataset)} samples (digest of their names {digest:08x})'
    digest = 0
    for value in runner.model.parameters():
        digest = crc32(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy(), digest)
    check_same(runner.host_exchange, {**streams, 'the start': f'iteration {runner.iter}, weights {digest:08x}'})
