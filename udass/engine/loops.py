"""The training loop of domain adaptation: several dataloaders, one iteration."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from traceback import clear_frames
from zlib import crc32

import torch
from mmengine.device import get_device
from mmengine.runner import IterBasedTrainLoop, Runner
from mmseg.registry import LOOPS
from torch.utils.data import DataLoader

from udass.engine.checkpoint import SafeCheckpointHook
from udass.engine.domain_loader import DomainIterator, DomainLoader, chain_of, explain_loader_error
from udass.engine.interrupt import Interrupted, InterruptGuard, drop_broken_streams, start_worker
from udass.engine.memory import disable_malloc_trim
from udass.engine.processes import check_same
from udass.engine.random_state import preserved_random_state, set_random_state, start_random_state
from udass.engine.rank_state import sync_batch_norm_statistics
from udass.models.ranks import seed_of_rank
from udass.uda.networks import unwrap
from udass.uda.training_model import TrainingModel


@LOOPS.register_module()
class UDATrainLoop(IterBasedTrainLoop):
    """Trains by iterations on batches of several domains.

    ``train_dataloader`` of the config is a dict of one dataloader config per domain, each with a plain mmseg dataset
    and without a sampler: the loop makes the streams endless, repeatable, independent of each other and of the number
    of workers (``SeededInfiniteSampler``, ``SeededDataset``), and adds the samplings that a method asks for. With a
    GPU, batches lie in pinned memory unless a config says ``pin_memory=False``.

    An interrupt (Ctrl-C, SIGTERM, SIGHUP, SIGUSR1) ends the iteration, or at once the wait for data or the validation,
    saves a checkpoint and leaves with exit status 128 + signal. A hook that finds that the training must not go on sets
    ``failure``: the loop saves a checkpoint and raises it. An error of a loader is raised after saving, too, and so is
    the death of one of its workers.

    Args:
        runner (Runner): the runner.
        dataloader (dict): domain -> dataloader config.
        max_iters (int): iterations of the whole training.
        val_begin (int): first iteration after which to validate.
        val_interval (int): validate every so many iterations, and after the last one.
        domains (Sequence[str]): domains to load; others in ``dataloader`` are left alone. The first is the labelled
            source.
        source_sampling (dict | None): config of a dataset wrapper that draws from the source, such as
            ``dict(type='RareClassDataset', temperature=0.01)``; None draws every image equally often.
        long_tail (dict | None): config of a third stream, ``long_tail``, of source images that contain a rare class:
            ``draws`` (rare classes per iteration), ``mixes`` (mixed images per target image that get a paste), 2 each
            by default, ``pipeline`` (None takes the source's), and arguments of ``LongTailDataset``. Its batch holds
            draws x mixes x source batch images.

    Raises:
        ValueError: a number of iterations is less than 1, a domain has no dataloader, a dataloader brings its own
            sampler, or the domains have different classes.
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
                'UDARunner.from_cfg(cfg).train(), after `from udass.engine import UDARunner`, or '
                'tools/train.py'
            )
        model = unwrap(runner.model)
        if not isinstance(model, TrainingModel):
            raise ValueError(
                f'UDATrainLoop trains a TrainingModel, such as DomainAdapter, not a {type(model).__name__}: to train a '
                'bare segmentor, take IterBasedTrainLoop of mmengine'
            )
        if model.needs_target and len(domains) < 2:
            raise ValueError(
                f'{type(model).__name__} with these components also learns from the target, but '
                f'train_cfg.domains is {tuple(domains)}: name source and target, or leave these '
                'components out'
            )
        for name, value in (('max_iters', max_iters), ('val_begin', val_begin), ('val_interval', val_interval)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'train_cfg.{name} is a number of iterations, at least 1; got {value!r}')
        configs = domain_configs(dataloader, domains, source_sampling, long_tail)
        loaders = {domain: _build_loader(runner, config) for domain, config in configs.items()}
        _check_same_classes(loaders)
        starts = {'long_tail': model.long_tail_start}
        super().__init__(
            runner,
            DomainLoader(loaders, length=max_iters, starts=starts),
            max_iters=max_iters,
            val_begin=val_begin,
            val_interval=val_interval,
        )
        model.use_metainfo(self.dataloader.dataset.metainfo)
        self.dataloader_iterator = DomainIterator(self.dataloader)
        self.resumed_random_state: dict | None = None
        self.failure: Exception | None = None
        self._first_iter = 0

    def run(self) -> torch.nn.Module:
        """Trains to the last iteration; returns the model.

        Raises:
            SystemExit: after an interrupt, with status 128 + signal (130 after Ctrl-C), once the checkpoint is saved.
            Exception: what a hook put into ``failure``, once the checkpoint is saved.
        """
        self._first_iter = self._iter
        if get_device() == 'cpu':
            disable_malloc_trim()
        check_same_start(self.runner)
        with self.runner.guard as guard:
            self.runner.call_hook('before_train')
            self.runner.call_hook('before_train_epoch')
            if self._iter > 0:
                self.runner.logger.info(f'Continuing the data streams after iteration {self._iter}')
                self.dataloader_iterator.skip_iter(self._iter)
            if self.resumed_random_state is not None:
                set_random_state(self.resumed_random_state)
            elif self.runner.rank > 0 or self._iter > 0:
                # Networks are built from one seed on all processes; dropout is each one's own.
                start_random_state(seed_of_rank(self.runner.seed, self.runner.rank, self._iter))
            try:
                self._run_iterations(guard)
            except Interrupted:
                self._save_and_exit(guard)
            finally:
                self.dataloader_iterator.close()
        self.runner.call_hook('after_train_epoch')
        self.runner.call_hook('after_train')
        return self.runner.model

    def _run_iterations(self, guard: InterruptGuard) -> None:
        if self._validation_is_due():
            # The checkpoint of an iteration is written before its validation.
            self._validate(guard)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(self._next_batch(guard))
            self._check_interrupt(guard)
            if self._validation_is_due():
                self._validate(guard)

    def _next_batch(self, guard: InterruptGuard) -> dict:
        # Workers may take long to start or to read; waiting for them changes nothing. Without workers the batch is
        # made here, and the random states are restored after each sample: that must not be cut short.
        waits = not self.runner.distributed and self.dataloader.has_workers
        batch = None
        try:
            with guard.waiting(immediate=waits):
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

    def _check_interrupt(self, guard: InterruptGuard) -> None:
        self._stop_if_any(guard.signum is not None or self.failure is not None)

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
        try:
            self._run_validation(guard)
        except Exception as error:
            # Other processes are in the middle of their part and cannot be told.
            if self.runner.distributed:
                raise explain_loader_error(error) from error
            # A signal ends the workers of the validation, too.
            if guard.signum is None or not isinstance(error, RuntimeError):
                self._save_before(error)
            raise Interrupted from None

    def _run_validation(self, guard: InterruptGuard) -> None:
        # Building the loader's iterator draws from torch's generator: the training must not notice.
        with preserved_random_state():
            if self.runner.distributed:
                model = unwrap(self.runner.model)
                with sync_batch_norm_statistics(model), guard.waiting(immediate=False):
                    self.runner.val_loop.run()
            else:
                with guard.waiting():
                    self.runner.val_loop.run()
        self.runner.message_hub.update_info('last_validation', self._iter)

    def _save_before(self, error: Exception) -> None:
        """Lets an error out after saving; of several processes all save and stop with the one that has it."""
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
        if self.runner.guard.signum is not None:
            self.runner.logger.info(f'Interrupted by {signal.Signals(self.runner.guard.signum).name}: saving')
        hooks = [hook for hook in self.runner.hooks if isinstance(hook, SafeCheckpointHook)]
        with self.runner.guard.saving():
            saved = hooks[0].save_now(self.runner) if hooks else None
            # torchrun ends the others as soon as one has gone: it must not be before the checkpoint is written.
            self.runner.host_exchange.wait()
            if saved is not None:
                advice = f'saved as {saved}. To go on, give the same command with --resume'
            elif hooks:
                advice = 'not saved: the state is not finite. The checkpoints before it stay as they are'
            else:
                advice = 'not saved: default_hooks.checkpoint is no SafeCheckpointHook'
            self.runner.logger.info(f'Stopped after iteration {self._iter} of {self._max_iters}, {advice}.')
            self.runner.visualizer.close()

    def _save_and_exit(self, guard: InterruptGuard) -> None:
        self._save()
        if self.failure is not None:
            raise self.failure from None
        # In a distributed run the signal may have reached another process only; then it counts as Ctrl-C.
        raise SystemExit(128 + (guard.signum or 2))


def domain_configs(
    dataloader: Mapping, domains: Sequence[str], source_sampling: dict | None = None, long_tail: dict | None = None
) -> dict[str, dict]:
    """Dataloader config per stream, with the dataset wrapped and the sampler set.

    Args:
        dataloader (Mapping): domain -> dataloader config with a plain dataset and no sampler.
        domains, source_sampling, long_tail: see :class:`UDATrainLoop`.
    """
    if not isinstance(dataloader, Mapping):
        raise TypeError(f'train_dataloader must be a dict of one dataloader config per domain, got {dataloader!r}')
    missing = [domain for domain in domains if domain not in dataloader]
    if missing or not domains:
        raise ValueError(
            f'train_dataloader has no config for domain {", ".join(missing) or "(none asked for)"}; it '
            f'has {", ".join(dataloader)}. Add train_dataloader.<domain> or change train_cfg.domains'
        )
    configs = {}
    for domain in domains:
        wrapper = {'type': 'SeededDataset'}
        if domain == domains[0] and source_sampling is not None:
            wrapper = dict(source_sampling)
        configs[domain] = _stream_config(dataloader[domain], domain, wrapper)
    if long_tail is not None:
        configs['long_tail'] = _long_tail_config(dataloader[domains[0]], long_tail)
    return configs


def _stream_config(loader: Mapping, stream: str, wrapper: dict) -> dict:
    own = [key for key in ('sampler', 'batch_sampler') if key in loader]
    if own or 'dataset' not in loader or 'batch_size' not in loader:
        raise ValueError(
            f'train_dataloader.{stream} must have batch_size and dataset and no sampler (the loop sets '
            f'it), got the keys {", ".join(loader)}'
        )
    return {
        **loader,
        'dataset': {**wrapper, 'dataset': loader['dataset']},
        'sampler': {'type': 'SeededInfiniteSampler', 'stream': stream},
    }


def _long_tail_config(source: Mapping, long_tail: dict) -> dict:
    wrapper = {'type': 'LongTailDataset', 'draws': 2, **long_tail}
    mixes, pipeline = wrapper.pop('mixes', 2), wrapper.pop('pipeline', None)
    wrapper['images_per_draw'] = mixes * source['batch_size']
    if pipeline is not None:
        source = {**source, 'dataset': {**source['dataset'], 'pipeline': pipeline}}
    config = _stream_config(source, 'long_tail', wrapper)
    config['batch_size'] = wrapper['draws'] * wrapper['images_per_draw']
    return config


def _build_loader(runner: Runner, config: dict) -> DataLoader:
    # A GPU fetches batches from pinned memory faster, and while it computes.
    config = {'pin_memory': torch.cuda.is_available(), **config}
    loader = runner.build_dataloader(config, seed=runner.seed)
    loader.worker_init_fn = partial(_start_worker, loader.worker_init_fn)
    # By default a loader draws its workers' seed from torch's global generator when it starts; a resumed run would
    # draw it at another time than the uninterrupted one.
    loader.generator = torch.Generator().manual_seed(runner.seed)
    return loader


def _start_worker(init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    disable_malloc_trim()
    start_worker(init_fn, worker_id)


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


def _check_same_classes(loaders: dict[str, DataLoader]) -> None:
    classes = {domain: tuple(loader.dataset.metainfo['classes']) for domain, loader in loaders.items()}
    first, expected = next(iter(classes.items()))
    for domain, names in classes.items():
        if names != expected:
            raise ValueError(
                f'{domain} has other classes than {first}: {names} against {expected}. Every domain must '
                'map its label ids to the same classes in the same order'
            )
