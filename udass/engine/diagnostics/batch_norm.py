"""Re-estimate the running statistics of batch norm on the images that the network is tested on."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch import Tensor, nn
from torch.utils.data import DataLoader

from udass.engine.data_loader import build_loader, domain_configs
from udass.engine.distributed import preserved_random_state
from udass.models.ranks import average_over_ranks_, running_statistics
from udass.uda.clip import stack_field
from udass.uda.networks import model_inputs, unwrap
from udass.uda.training_model import TeacherStudent


@HOOKS.register_module()
class BatchNormStatisticsHook(Hook):
    """Gives the tested network statistics of batch norm from target training images, before it is validated and saved.

    They replace those that the training tracked, and the training goes on from them. The losses stay as they are,
    because batch norm uses the statistics of the batch in training; a teacher that copies the student's statistics
    (``ema.copy_buffers``) gets the new ones. Sources: Li et al. 2016, arXiv 1603.04779 (statistics of the target), and
    Wu and Johnson 2021, arXiv 2105.07576 (the mean over batches at fixed weights).

    Args:
        num_batches: batches of the target's dataloader, as it trains, whose means and variances are averaged; the same
            images each time.
        interval: iterations between two estimates; None takes the interval of the validation. There is one after the
            last iteration, too. A checkpoint that is saved in between has the statistics that the training tracked.
        dataloader: config as of ``train_dataloader.target``, None takes that one.
    """

    # After the hooks that check the iteration, before the one that saves.
    priority = 'LOW'

    def __init__(self, num_batches: int = 50, interval: int | None = None, dataloader: dict | None = None) -> None:
        if num_batches < 1 or interval is not None and interval < 1:
            raise ValueError(f'num_batches and interval must be at least 1, got {num_batches} and {interval}')
        self.num_batches = num_batches
        self.interval = interval
        self.config = dataloader
        self.dataloader: DataLoader | None = None

    def before_train(self, runner: Runner) -> None:
        self.dataloader = target_loader(runner, self.config)
        self.dataloader.dataset.max_replacements = runner.train_dataloader.dataset.max_replacements

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        interval = self.interval or runner.train_loop.val_interval
        if self.every_n_train_iters(runner, interval) or self.is_last_train_iter(runner):
            estimate_statistics(unwrap(runner.model), self.dataloader, self.num_batches)
            runner.model.train()


def target_loader(runner: Runner, config: dict | None = None) -> DataLoader:
    """The target's dataloader as it trains, or one of another config, with a stream of its own, so that its images do
    not depend on how far the training is; ValueError without a target or a network to estimate statistics for."""
    model = unwrap(runner.model)
    config = config or (runner.cfg.get('train_dataloader') or {}).get('target')
    if config is None or not isinstance(model, TeacherStudent) or not running_statistics(_tested(model)):
        raise ValueError(
            'statistics of the target need a network with running statistics of batch norm, and a dataloader of the '
            'target: leave BatchNormStatisticsHook or --target-statistics out, or add train_dataloader.target'
        )
    config = domain_configs({'statistics': {**config, 'persistent_workers': False}}, ['statistics'])['statistics']
    return build_loader(runner, config)


def estimate_statistics(model: TeacherStudent, dataloader: DataLoader, num_batches: int) -> None:
    """Replace the running statistics of the network that is tested by means over batches, over all processes. The
    network is left in evaluation mode."""
    network = _tested(model)
    with preserved_random_state(), torch.no_grad(), estimated_statistics(network):
        for batch in islice(dataloader, num_batches):
            frames, samples = model.data_preprocessor.pixels(batch)
            network_logits(model, network, frames, stack_field(samples, 'flow'))
    average_over_ranks_(running_statistics(network))


def _tested(model: TeacherStudent) -> nn.Module:
    return unwrap(model.teacher if model.eval_branch == 'teacher' else model.student)


@contextmanager
def estimated_statistics(network: nn.Module) -> Iterator[None]:
    """Inside, batch norm averages the means and variances of the batches of all forwards, while the rest of the network
    is in evaluation mode; afterwards they are the running statistics. The network is left in evaluation mode."""
    network.eval()
    norms = [norm for norm in network.modules() if isinstance(norm, nn.modules.batchnorm._NormBase)]
    norms = [norm for norm in norms if norm.running_mean is not None]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def network_logits(model: TeacherStudent, network: nn.Module, frames: Tensor, flow: Tensor | None) -> Tensor:
    """Logits (N, C, H, W) of frame 0 of clips of pixels (N, T, 3, H, W) with their flow, as in a test."""
    inputs, options = model_inputs(network, model.data_preprocessor.normalize(frames), flow)
    meta = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), frames.shape[-2:])
    return network.encode_decode(inputs, [meta] * len(frames), **options)
