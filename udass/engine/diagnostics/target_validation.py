"""Evaluate the network on the training images of the target, whenever it validates."""

from collections.abc import Mapping, Sequence

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader

_LOAD_LABELS = ('LoadLabels', 'LoadClipLabels', 'LoadAnnotations')


@HOOKS.register_module()
class TargetValidationHook(Hook):
    """Evaluates the network on further images after each validation, without labels on those that the target trains on.
    The results join the metrics of the validation, and ``save_best`` of the checkpoint hook can name them.

    Args:
        evaluator: metrics as in ``val_evaluator``; None takes an ``UnlabelledMetric``.
        dataloader: config as of ``val_dataloader``; None takes whole images of ``train_dataloader.target`` in the
            pipeline of the validation without its labels. Clips need a dataloader of their own.
        max_images: how many of the images, evenly chosen; None takes all. Not with a dataloader of its own.

    Raises:
        ValueError: there is no target to take images from, or a metric has the name of one of the validation.
    """

    # Before the hook that hands the metrics on to the log.
    priority = 'HIGHEST'

    def __init__(
        self,
        evaluator: dict | Sequence[dict] | None = None,
        dataloader: dict | None = None,
        max_images: int | None = 200,
    ) -> None:
        if max_images is not None and max_images < 1:
            raise ValueError(f'max_images must be at least 1, got {max_images}')
        self.evaluator = Evaluator(dict(type='UnlabelledMetric') if evaluator is None else evaluator)
        self.config = dataloader
        self.max_images = max_images
        self.dataloader: DataLoader | None = None

    def before_train(self, runner: Runner) -> None:
        config = target_images(runner.cfg) if self.config is None else self.config
        loader = runner.build_dataloader(config)
        if self.config is None and self.max_images is not None and len(loader.dataset) > self.max_images:
            step = len(loader.dataset) / self.max_images
            loader.dataset.get_subset_([int(step * number) for number in range(self.max_images)])
            loader = runner.build_dataloader({**config, 'dataset': loader.dataset})
        self.evaluator.dataset_meta = loader.dataset.metainfo
        self.dataloader = loader

    @torch.no_grad()
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self.dataloader is None or metrics is None:
            return
        for batch in self.dataloader:
            self.evaluator.process(data_samples=runner.model.val_step(batch), data_batch=batch)
        found = self.evaluator.evaluate(len(self.dataloader.dataset))
        if known := found.keys() & metrics.keys():
            raise ValueError(
                'TargetValidationHook has metrics of the same name as the validation: '
                f'{", ".join(sorted(known))}. Give them a prefix'
            )
        metrics.update(found)


def target_images(config: Mapping) -> dict:
    """Config of a dataloader that gives whole training images of the target as the validation loads its images."""
    target, validation = (config.get('train_dataloader') or {}).get('target'), config.get('val_dataloader')
    pipeline = validation['dataset'].get('pipeline') if validation is not None else None
    if target is None or pipeline is None:
        raise ValueError(
            'TargetValidationHook takes the images of train_dataloader.target and the pipeline of '
            'val_dataloader.dataset, and the config does not have both: give the hook a dataloader'
        )
    unlabelled = [transform for transform in pipeline if transform['type'] not in _LOAD_LABELS]
    dataset = {**target['dataset'], 'pipeline': unlabelled, 'test_mode': True}
    return {**validation, 'dataset': dataset}
