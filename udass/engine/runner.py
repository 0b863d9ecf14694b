"""The runner: mmengine's, with strict loading, atomic saving, random states in checkpoints and class counts checked."""

import copy
import logging
import re
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast, is_main_process
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import BaseLoop, Runner
from mmseg.registry import RUNNERS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from udass.engine.checkpoint import PlainContentHook, check_unused, locked, resumable_checkpoint
from udass.engine.config import prepare_config
from udass.engine.data_loader import check_class_count
from udass.engine.distributed import (
    HostExchange,
    SeparateDataParallel,
    check_same,
    check_sync_bn,
    get_random_state,
    rank_state,
    start_processes,
    sync_batch_norm_statistics,
    with_rank_state,
)
from udass.engine.interrupt import InterruptGuard
from udass.engine.optim import (
    check_wrappers,
    compile_networks,
    match_memory_layout,
    merge_groups,
    prepare_networks,
    scale_learning_rates,
    with_mixed_precision,
)
from udass.engine.renamed import translate_checkpoint
from udass.engine.resume import all_schedulers, check_resumable, resume_optimizers, settings_of
from udass.io.checksums import add_checksum
from udass.io.streams import file_only, leave_out_details
from udass.io.writing import atomic_path
from udass.models.checkpoints import load_strictly, read_checkpoint, weights_of
from udass.uda.networks import unwrap
from udass.uda.training_model import TrainingModel

_LOADER_TIMEOUT = 600  # Seconds: far more than a batch takes, far less than a night.


@RUNNERS.register_module()
class UDARunner(Runner):
    """mmengine's runner for this project; arguments as there.

    * Loading a checkpoint is strict and reads tensors and plain containers only.
    * Saving is atomic, and a checkpoint holds what differs between the processes for each of them.
    * Several processes find each other with or without a GPU, and train the networks (`SeparateDataParallel`).
    * ``resume=True`` without ``load_from`` continues the newest whole checkpoint of the work dir, if there is any: all
      processes that which the main process finds. Settings that changed are logged, and win over the checkpoint.
    * One training at a time writes into a work dir, and a new one into no used one.
    * Heads and datasets must agree on the number of classes.
    * The environment, the config and the options per parameter (1000 lines) go to the log file, not to the terminal.
    """

    @classmethod
    def from_cfg(cls, cfg: Config) -> 'UDARunner':
        """mmengine's, after `prepare_config`; ``load_from`` may be dict(file=..., skip=[...]), see `load_networks`."""
        cfg = copy.deepcopy(cfg)
        prepare_config(cfg)
        start = cfg.get('load_from')
        if not isinstance(start, dict):
            return super().from_cfg(cfg)
        if not {'file'} <= set(start) <= {'file', 'skip'} or isinstance(start.get('skip'), str):
            raise ValueError(
                f"load_from is a file, or dict(file=..., skip=['decode_head.conv_seg']); got {dict(start)}"
            )
        cfg.load_from = start.file
        runner = super().from_cfg(cfg)
        runner.cfg.load_from, runner.skipped = start, tuple(start.get('skip', ()))
        return runner

    def setup_env(self, env_cfg: dict) -> None:
        """mmengine's; ``dist_cfg`` may hold ``backend`` and ``timeout`` of `start_processes`."""
        options = env_cfg.get('dist_cfg', {})
        if self.distributed and not torch.distributed.is_initialized():
            start_processes(self.launcher, **options)
        super().setup_env(env_cfg)
        self.host_exchange = HostExchange(timeout=options.get('timeout', 1800))
        self.guard = InterruptGuard()

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Moves the model to its device, with the switches of the config, and wraps it for several processes."""
        check_sync_bn(self.cfg.get('sync_bn'))
        model = model.to(get_device())
        prepare_networks(model, self.cfg)
        if not self.distributed or model_wrapper_cfg is not None:
            return super().wrap_model(model_wrapper_cfg, model)
        if self.cfg.get('sync_bn') is not None:
            model = convert_sync_batchnorm(model)
        unused = isinstance(model, TrainingModel) and model.leaves_parameters_out
        return SeparateDataParallel(model, self.cfg.get('find_unused_parameters', unused))

    def _init_model_weights(self) -> None:
        if self._resume:
            # All of them come from the checkpoint; files of start weights may be gone.
            return
        model = self._plain_model
        if hasattr(model, 'init_weights'):
            model.init_weights()
            # Extra states (counters, templates) are no tensors, and those of the main process are not everybody's.
            for value in model.state_dict().values():
                if isinstance(value, Tensor):
                    broadcast(value)

    @property
    def _plain_model(self) -> nn.Module:
        return unwrap(self.model)

    def _maybe_compile(self, target: str) -> None:
        options = self.cfg.get('compile')
        if options is None or options is False:
            return
        compiled = compile_networks(self._plain_model, {} if options is True else options)
        self.logger.info(f'Compiled: {", ".join(compiled)}. The first iterations take much longer')

    def _log_env(self, env_cfg: dict) -> None:
        leave_out_details(self.logger)
        with file_only(self.logger):
            super()._log_env(env_cfg)
        self.logger.info(f'Environment, config and everything below are logged in {self.log_dir}')

    def set_randomness(
        self, seed: int | None = None, diff_rank_seed: bool = False, deterministic: bool = False
    ) -> None:
        """mmengine's; ValueError if the seed is out of range."""
        if seed is not None and not 0 <= seed < 2**32:
            raise ValueError(f'the seed (randomness.seed, --seed) must be in 0..{2**32 - 1}, got {seed}')
        super().set_randomness(seed, diff_rank_seed, deterministic)

    def build_optim_wrapper(self, optim_wrapper: OptimWrapper | dict) -> OptimWrapper | OptimWrapperDict:
        """mmengine's, in the precision that ``amp`` says; gradients are accumulated by the training step."""
        if isinstance(optim_wrapper, OptimWrapper):
            return optim_wrapper
        check_wrappers(optim_wrapper)
        optim_wrapper = {key: value for key, value in optim_wrapper.items() if key != 'accumulative_counts'}
        if self.cfg.get('amp') is not None:
            optim_wrapper = with_mixed_precision(optim_wrapper, self.cfg.amp)
        # Names of parameters are not to depend on the number of processes. mmengine warns of each of the teacher's.
        plain = self.model.plain() if isinstance(self.model, SeparateDataParallel) else nullcontext()
        with file_only(self.logger, logging.ERROR), plain:
            return merge_groups(super().build_optim_wrapper(optim_wrapper), self._plain_model)

    def scale_lr(self, optim_wrapper: OptimWrapper | OptimWrapperDict, auto_scale_lr: dict | None = None) -> None:
        """Like mmengine's, for the source batches of all processes; see `scale_learning_rates`."""
        if (auto_scale_lr or {}).get('enable', False):
            total = self.world_size * next(iter(self.train_dataloader.loaders.values())).batch_size
            scale_learning_rates(optim_wrapper, total, auto_scale_lr)

    def build_param_scheduler(self, scheduler: dict | list) -> dict | list:
        """mmengine's; warns if the learning rate ends otherwise than the training. A schedule more than twice as long
        is a horizon that is meant, as in the video methods."""
        built = super().build_param_scheduler(scheduler)
        end = max((one.end for one in all_schedulers(built)), default=self.max_iters)
        # mmengine reaches the last value one step early: some schedules have one step more than the training.
        if end not in (self.max_iters, self.max_iters + 1) and end <= 2 * self.max_iters:
            self.logger.warning(
                f'The schedule of the learning rate ends at iteration {end}, the training at {self.max_iters}: if that '
                'is not meant, set `end` in param_scheduler, too'
            )
        return built

    def register_default_hooks(self, hooks: dict | None = None) -> None:
        """mmengine's, and what makes checkpoints load safely."""
        super().register_default_hooks(hooks)
        self.register_hook(PlainContentHook())

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        return self._checked(super().build_train_loop(loop))

    def build_val_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        return self._checked(super().build_val_loop(loop))

    def build_test_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        return self._checked(super().build_test_loop(loop))

    def _checked(self, loop: BaseLoop) -> BaseLoop:
        check_class_count(self.model, loop.dataloader.dataset)
        return loop

    @staticmethod
    def build_dataloader(
        dataloader: DataLoader | dict, seed: int | None = None, diff_rank_seed: bool = False
    ) -> DataLoader:
        """mmengine's; workers that give nothing for ``timeout`` seconds (600 by default) end the run."""
        if isinstance(dataloader, dict) and dataloader.get('num_workers', 0) > 0:
            dataloader = {'timeout': _LOADER_TIMEOUT, **dataloader}
        return Runner.build_dataloader(dataloader, seed, diff_rank_seed)

    def train(self) -> nn.Module:
        """mmengine's; ValueError if another training runs in the work dir, or left checkpoints there that are not
        resumed, or if the processes of this one have different configs."""
        if self.distributed:
            check_same(self.host_exchange, settings_of(self.cfg.pretty_text, 'this config'))
        with locked(Path(self.work_dir)) if is_main_process() else nullcontext():
            self._choose_start()
            return super().train()

    def _choose_start(self) -> None:
        """Resumes what the main process finds to resume, on all processes, or nothing."""
        if is_main_process():
            check_unused(Path(self.work_dir), self._resume, self._load_from)
            if self._resume and self._load_from is None:
                latest = resumable_checkpoint(Path(self.work_dir))
                if latest is None:
                    self.logger.warning(f'Nothing to resume in {self.work_dir}: starting at iteration 0')
                self._resume, self._load_from = latest is not None, latest and str(latest)
        self._resume, self._load_from = self.host_exchange.gather((self._resume, self._load_from))[0]
        if self.distributed and self._load_from is not None:
            check_same(self.host_exchange, {f'whether {self._load_from} is there': Path(self._load_from).is_file()})

    def load_or_resume(self) -> None:
        """Loads or resumes what ``load_from`` and ``resume`` name."""
        if self._load_from is not None and not self._resume and not self._has_loaded:
            self.load_networks(self._load_from)
        super().load_or_resume()

    # Parts of the networks that keep their start weights when `load_networks` fills the rest.
    skipped: tuple[str, ...] = ()

    def load_networks(self, filename: str) -> None:
        """Starts from the networks of a checkpoint: the weights only, no counter, template, optimizer or random state.

        The checkpoint may be of another method: student, teacher and ImageNet network are each loaded completely from
        what the file has of them. A file of one bare segmentor (as ``udass convert`` writes it) fills the
        student, and the teacher with it. What ``load_from.skip`` names, for instance the classifier for other
        classes, keeps its start weights. ValueError if the file does not fit.
        """
        model = self._plain_model
        if not isinstance(model, TrainingModel):
            if self.skipped:
                raise ValueError(
                    f'load_from.skip is for models of several networks; {type(model).__name__} is loaded as a whole: '
                    'give load_from the file alone'
                )
            self.load_checkpoint(filename)
            return
        trains = isinstance(self._train_loop, BaseLoop)
        try:
            loaded = model.load_networks(weights_of(read_checkpoint(filename), filename), filename, self.skipped)
        except ValueError as error:
            if 'of another shape' not in str(error) or not trains:
                raise
            raise ValueError(
                f'{error}. To start from all but the classifier, set '
                f"load_from=dict(file='{filename}', skip=['decode_head.conv_seg'])"
            ) from error
        self._has_loaded = True
        left = f', but for {", ".join(self.skipped)}' if self.skipped else ''
        self.logger.info(f'Loaded {" and ".join(loaded)} from {filename}{left}')
        if model.teacher is not None and 'teacher' not in loaded:
            if model.eval_branch == 'teacher' and not trains:
                raise ValueError(f'{filename} has no teacher to test: test its student (--branch student)')
            self.logger.info(f'{filename} has no teacher: it starts as the student')

    def load_checkpoint(
        self,
        filename: str,
        map_location: str | Callable = 'cpu',
        strict: bool = True,
        revise_keys: list[tuple[str, str]] | None = None,
    ) -> dict:
        """Loads all that a local checkpoint file holds for the model, counters and templates included; arguments and
        result as in mmengine, but strict by default. ValueError if the file does not fit; see `load_networks`."""
        checkpoint = read_checkpoint(filename, map_location)
        translate_checkpoint(checkpoint)
        self._load(checkpoint, filename, strict, revise_keys)
        return checkpoint

    def _load(
        self, checkpoint: dict, filename: str, strict: bool = True, revise_keys: list[tuple[str, str]] | None = None
    ) -> None:
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        state = checkpoint['state_dict']
        for pattern, replacement in [(r'^module\.', '')] if revise_keys is None else revise_keys:
            state = OrderedDict((re.sub(pattern, replacement, key), value) for key, value in state.items())
        state = with_rank_state(state, checkpoint.get('meta', {}).get('rank_states', []), self.rank, self.world_size)
        if strict:
            load_strictly(self._plain_model, state, filename)
        else:
            self._plain_model.load_state_dict(state, strict=False)
        self._has_loaded = True
        self.logger.info(f'Loaded {filename}')

    def resume(
        self,
        filename: str,
        resume_optimizer: bool = True,
        resume_param_scheduler: bool = True,
        map_location: str | Callable = 'cpu',
    ) -> None:
        """Continues the training of a checkpoint, always with its optimizers and schedules, and with the settings of
        the config; see `udass.engine.resume`. ValueError if the file holds weights only, comes from a run with another
        seed, or the config has settings that cannot be changed on resume or that leave nothing to train."""
        if not (resume_optimizer and resume_param_scheduler):
            raise ValueError(
                'a training is resumed with its optimizer and its schedules; to start from its networks alone, set '
                f'load_from={filename} and resume=False'
            )
        loop, warn = self.train_loop, self.logger.warning
        checkpoint = read_checkpoint(filename, map_location)
        translate_checkpoint(checkpoint)
        classes = loop.dataloader.dataset.metainfo.get('classes')
        changes = check_resumable(checkpoint, filename, self.seed, self.cfg.pretty_text, classes)
        if changes:
            listed = ''.join(f'\n    {key} was {old}, now {new}' for key, (old, new) in changes.items())
            warn(f'Settings that changed since {filename} was written:{listed}')
        self._load(checkpoint, filename)
        loop._epoch, loop._iter = checkpoint['meta']['epoch'], checkpoint['meta']['iter']
        self.message_hub.load_state_dict(checkpoint['message_hub'])
        if resume_optimizers(self.optim_wrapper, self.param_schedulers, checkpoint, self.iter, self.model):
            first = self.iter + 1
            warn(f'The learning rates or their schedules changed: those of the config hold from iteration {first} on')
        if self.iter > self.max_iters:
            raise ValueError(
                f'the checkpoint has {self.iter} iterations, train_cfg.max_iters is {self.max_iters}: there is nothing '
                'left to train. Raise it, and `end` in param_scheduler with it'
            )
        match_memory_layout(self.optim_wrapper)
        self._resume_ranks(checkpoint['meta'].get('random_states', []), filename)

    def _resume_ranks(self, states: list[dict], filename: str) -> None:
        """Restores the random state of each process, or starts a new one with another number of processes."""
        before, now = len(states), self.world_size
        if before == now:
            self.train_loop.resumed_random_state = states[self.rank]
            return
        if isinstance(self._plain_model, TrainingModel):
            self._plain_model.start_ranks()
        self.logger.warning(
            f'{filename} was written by {before} processes, this run has {now}. Networks, optimizers, schedules and '
            f'counters go on. What changes: an iteration learns from {now}/{before} as many images, at the same '
            'learning rate unless auto_scale_lr is on; the data streams continue where '
            f'{now} processes would be after {self.iter} iterations; random states and templates start anew, so that '
            f'the result is not bit for bit that of {before} processes'
        )

    def save_checkpoint(
        self,
        out_dir: str,
        filename: str,
        file_client_args: dict | None = None,
        save_optimizer: bool = True,
        save_param_scheduler: bool = True,
        meta: dict | None = None,
        by_epoch: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        """Saves a checkpoint atomically, to a local folder; other arguments as in mmengine. To be called by every
        process: each adds what differs between them."""
        if file_client_args is not None or backend_args is not None:
            raise ValueError(
                'checkpoints are written to local folders only: leave file_client_args and backend_args out, got '
                f'{file_client_args} and {backend_args}'
            )
        states = self.host_exchange.gather((get_random_state(), rank_state(self._plain_model)))
        random_states, rank_states = map(list, zip(*states, strict=True))
        meta = {**(meta or {}), 'random_states': random_states, 'rank_states': rank_states}
        parts = dict(save_optimizer=save_optimizer, save_param_scheduler=save_param_scheduler, by_epoch=by_epoch)
        with sync_batch_norm_statistics(self._plain_model):
            if not is_main_process():
                return
            path = Path(out_dir) / filename
            with file_only(self.logger, logging.ERROR), atomic_path(path, durable=True) as temporary:
                super().save_checkpoint(str(temporary.parent), temporary.name, meta=meta, **parts)
                add_checksum(temporary)
