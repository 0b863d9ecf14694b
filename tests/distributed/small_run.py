"""A small QuadMix run for the tools: its config, and a hook that kills it."""

import os
import signal

from mmengine.config import Config
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmseg.registry import DATASETS, HOOKS

from tests.engine.toys import ToyDataset, toy_config
from tests.uda.small import SEGMENTOR, TEACHER

PIXELS = 64


@DATASETS.register_module()
class OneLess(ToyDataset):
    """A data set whose folder on the machine of process 1 lacks a file."""

    def load_data_list(self) -> list[dict]:
        found = super().load_data_list()
        return found[:-1] if get_rank() == 1 else found


@HOOKS.register_module()
class Kill(Hook):
    """Ends process 1 of a run as ``kill -9`` does, in the middle of its last iteration."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if get_rank() == 1 and runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


@HOOKS.register_module()
class Terminate(Kill):
    """Sends process 1 alone the signal of a pre-empted job."""

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if get_rank() == 1 and runner.iter + 1 == self.iteration:
            os.kill(os.getpid(), signal.SIGTERM)


@HOOKS.register_module()
class BreakLoader(Kill):
    """The loaders of process 1 fail where they should make the batch of an iteration."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        if get_rank() == 1 and runner.iter + 2 == self.iteration:

            def broken():
                raise OSError('a file that cannot be read')
                yield

            runner.train_loop.dataloader_iterator = broken()

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Kills nobody, unlike its parent."""


def small_config(data, work_dir, max_iters: int = 6) -> Config:
    """QuadMix with dropout, drop-path, batch norm and workers on images of ``PIXELS``; saves every two iterations."""
    config = toy_config(data, work_dir, max_iters=max_iters, num_workers=1)
    head = dict(SEGMENTOR['decode_head'], num_classes=3)
    config.model = dict(
        type='DomainAdapter',
        student=dict(SEGMENTOR, decode_head=head),
        **TEACHER,
        mixing=dict(type='QuadMix'),
        masking=dict(type='BlockMasking', block_size=8),
        photometric=dict(type='PhotometricChange'),
    )
    config.custom_imports = dict(imports=['udass.all_modules', 'tests.engine.toys', 'tests.distributed.small_run'])
    config.train_cfg.val_interval = max_iters
    config.train_dataloader.target.dataset.pipeline.pop(1)
    config.log_level = 'INFO'
    return config
