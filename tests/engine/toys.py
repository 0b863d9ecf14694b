"""A tiny segmentation task and model, so that the engine is tested without the methods and networks."""

from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS, MODELS, RUNNERS
from torch import nn

import udass.datasets
import udass.engine  # noqa: F401  (registers loops, hooks, the runner)
import udass.visualization.hooks  # noqa: F401
from udass.uda.clip import Clip
from udass.uda.training_model import TrainingModel

CLASSES = ('dark', 'middle', 'bright')
PALETTE = [[0, 0, 120], [0, 160, 0], [250, 220, 0]]


@DATASETS.register_module()
class ToyDataset(BaseSegDataset):
    METAINFO = {'classes': CLASSES, 'palette': PALETTE}


@MODELS.register_module()
class ToyAdapter(TrainingModel):
    """A convolution with dropout (so that the random state matters); logs scalars, calls its pass hooks.

    Args:
        width (int): channels.
        seed (int): not used; the command line sets it in models that take it.
    """

    def __init__(self, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        self.student = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(width, len(CLASSES), 1)
        )
        self.teacher, self.seen, self.hooked = None, [], []

    def train_step(self, data: dict, optim_wrapper) -> dict:
        source = data['source']
        images = torch.stack(source['inputs']).float()
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in source['data_samples']])
        self.seen.append(
            {name: [Path(sample.img_path).stem for sample in batch['data_samples']] for name, batch in data.items()}
        )
        self.hooked.append(bool(self.pass_hooks))
        self.call_pass_hooks('source', Clip(images[:, None], labels[:, None], torch.ones_like(images[:, None, 0])))
        loss = nn.functional.cross_entropy(self.student(images / 255), labels, ignore_index=255)
        optim_wrapper.update_params(loss)
        log = {'loss': loss.detach(), 'count': torch.tensor(float(len(self.seen)))}
        return log | ({'early': torch.tensor(1.0)} if len(self.seen) < 3 else {})

    def forward(self, inputs, data_samples=None, mode='tensor'):
        logits = self.student(torch.stack(inputs).float() / 255)
        for sample, logit in zip(data_samples, logits, strict=True):
            sample.set_data({'pred_sem_seg': PixelData(data=logit.argmax(0, keepdim=True))})
        return data_samples


def write_toy_data(root: Path, count: int = 8, size: int = 12) -> Path:
    """Random images whose labels follow from their brightness."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'labels'):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        blocks = rng.integers(0, 256, (size // 4, size // 4)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
        cv2.imwrite(str(root / 'images' / f'{number:03d}.png'), blocks[..., None].repeat(3, 2))
        cv2.imwrite(str(root / 'labels' / f'{number:03d}.png'), blocks // 86)
    return root


def toy_dataset(root: Path) -> dict:
    return dict(
        type='ToyDataset',
        data_root=str(root),
        img_suffix='.png',
        data_prefix=dict(img_path='images', seg_map_path='labels'),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
    )


def toy_config(root: Path, work_dir: Path, max_iters: int = 6, num_workers: int = 0, **train_cfg) -> Config:
    """A whole config: trains, validates every 3 iterations, saves every 2."""
    loader = dict(batch_size=2, num_workers=num_workers, dataset=toy_dataset(root))
    test_loader = dict(
        batch_size=1, num_workers=0, dataset=toy_dataset(root), sampler=dict(type='DefaultSampler', shuffle=False)
    )
    return Config(
        dict(
            model=dict(type='ToyAdapter'),
            work_dir=str(work_dir),
            default_scope='mmseg',
            runner_type='UDARunner',
            custom_imports=dict(imports=['udass.all_modules', 'tests.engine.toys']),
            train_dataloader=dict(source=loader, target=loader),
            train_cfg=dict(type='UDATrainLoop', max_iters=max_iters, val_interval=3, **train_cfg),
            val_dataloader=test_loader,
            val_cfg=dict(type='ValLoop'),
            val_evaluator=dict(type='ClassIoUMetric'),
            test_dataloader=test_loader,
            test_cfg=dict(type='TestLoop'),
            test_evaluator=dict(type='ClassIoUMetric'),
            optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
            param_scheduler=[dict(type='PolyLR', power=1.0, begin=0, end=max_iters, by_epoch=False)],
            default_hooks=dict(
                runtime_info=dict(type='ScalarLogHook'),
                logger=dict(type='LoggerHook', interval=2),
                checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=2),
                sampler_seed=None,
            ),
            custom_hooks=[],
            env_cfg={},
            randomness=dict(seed=0),
            load_from=None,
            resume=False,
            log_processor=dict(by_epoch=False, window_size=1),
            log_level='WARNING',
        )
    )


_built = 0


def build_runner(config: Config, **changes) -> Runner:
    """Builds the runner under a name of its own: runners of one process that share a name share their log."""
    global _built
    _built += 1
    config = Config(config.to_dict())
    config.merge_from_dict(changes)
    config.experiment_name = f'toy_{_built}'
    return RUNNERS.build(config)


def train(config: Config, **changes) -> Runner:
    runner = build_runner(config, **changes)
    runner.train()
    return runner


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
