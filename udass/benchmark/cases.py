"""The functions that are measured, made from a config: training step, mixing, loader, inference."""

import copy
import itertools
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.model import convert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from torch import distributed

from udass.benchmark.synthetic import pinned, random_batch, random_clip, random_images
from udass.cli.experiments.preview import Preview
from udass.engine.data_loader import disable_malloc_trim
from udass.engine.distributed import SeparateDataParallel, check_sync_bn
from udass.engine.hooks import FiniteLossHook
from udass.engine.optim import compile_networks, merge_groups, prepare_networks, with_mixed_precision
from udass.models.segmentors import FlowGuidedEncoderDecoder
from udass.uda import DomainAdapter
from udass.uda.mixing.classes import class_mask
from udass.uda.mixing.quadmix import confident_class_mask, quadmix

Size = tuple[int, int]


def training_step(config: Config, batch: int, size: Size, device: torch.device) -> Callable[[], object]:
    """Steps of a method and of the hook around them, on random batches, with random weights, at a point of the training
    where all passes run.

    Raises:
        ValueError: the model is no `DomainAdapter`.
    """
    torch.manual_seed(0)
    if device.type == 'cpu':
        # As the training loop does.
        disable_malloc_trim()
    settings = copy.deepcopy(config)
    if 'student' in settings.model:
        _leave_start_weights_out(settings.model.student.backbone)
    model = MODELS.build(settings.model)
    if not isinstance(model, DomainAdapter):
        raise ValueError(f'the model must be a DomainAdapter, not a {type(model).__name__}: give a config that adapts')
    model.init_weights()
    source = settings.train_dataloader.source.dataset
    model.use_metainfo({**DATASETS.get(source.type).METAINFO, **source.get('metainfo', {})})
    if settings.get('sync_bn') is not None:
        check_sync_bn(settings.sync_bn)
        model = convert_sync_batchnorm(model)
    model.to(device).train()
    _apply_switches(model, settings)
    wrapper = settings.optim_wrapper.to_dict()
    wrapper = with_mixed_precision(wrapper, settings.amp) if settings.get('amp') else wrapper
    optimizer = merge_groups(build_optim_wrapper(model, wrapper), model)
    model.iteration = max(getattr(part, 'start_iter', 0) for part in (model.mixing, model.feature_mixing))
    draws = (settings.train_cfg.get('long_tail') or {}).get('draws', 2 * ('long_tail' in settings.train_cfg))
    batches = [random_batch(model, batch, size, seed, draws) for seed in range(2)]
    data = itertools.cycle([pinned(one) for one in batches] if device.type == 'cuda' else batches)
    # Of the default hooks this one works on the device in every iteration.
    runner = SimpleNamespace(model=model, optim_wrapper=optimizer, hooks=[], iter=0, max_iters=10**9)
    trained = SeparateDataParallel(model, model.leaves_parameters_out) if distributed.is_initialized() else model
    hook = FiniteLossHook()
    hook.before_train(runner)

    def step() -> None:
        current = next(data)
        hook.before_train_iter(runner, runner.iter, current)
        log = trained.train_step(current, optimizer)
        hook.after_train_iter(runner, runner.iter, current, log)
        runner.iter += 1

    return step


def mixing(config: Config, batch: int, size: Size, device: torch.device) -> Callable[[], object]:
    """QuadMix of random images with two of 19 classes each."""
    generator = torch.Generator().manual_seed(0)
    clips = [random_clip(batch, size, 19, generator).map(lambda value: value.to(device)) for _ in range(4)]
    chosen = torch.zeros(2, batch, 19, dtype=torch.bool, device=device)
    chosen[0, :, :2] = chosen[1, :, 2:4] = True

    def mix() -> object:
        masks = class_mask(clips[2].labels, chosen[0]), confident_class_mask(clips[3], chosen[1], 0.5)
        return quadmix(*clips, *masks)

    return mix


def loader(config: Config, work_dir: Path) -> Callable[[], object]:
    """The training batches of all domains, from the files of the config, as the training loop gets them."""
    preview = Preview(config, work_dir, passes=False)
    batches = preview.batches(10**9)
    return lambda: next(batches)


def inference(config: Config, batch: int, size: Size, device: torch.device) -> Callable[[], object]:
    """Class ids of random images by the student with random weights."""
    torch.manual_seed(0)
    settings = copy.deepcopy(config.model.student)
    _leave_start_weights_out(settings.backbone)
    network = MODELS.build(settings).to(device).eval()
    _apply_switches(network, config)
    generator, shape = torch.Generator().manual_seed(0), torch.Size(size)
    samples = [SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape, pad_shape=shape)) for _ in range(batch)]
    images = list(random_images(batch, size, generator))
    inputs, flow = network.data_preprocessor(dict(inputs=images, data_samples=samples))['inputs'], {}
    if isinstance(network, FlowGuidedEncoderDecoder):
        inputs = torch.stack([inputs, inputs.roll(1, -1)], dim=1)
        flow['flow'] = 5 * torch.rand(batch, 1, 2, *size, generator=generator).to(device)

    @torch.no_grad()
    def predict() -> object:
        return network(inputs, samples, mode='predict', **flow)

    return predict


def _leave_start_weights_out(backbone: dict) -> None:
    """Let a backbone start from random weights: they cost the same, and nothing has to be downloaded first."""
    backbone.pop('init_cfg', None)
    if backbone['type'].startswith(('Timm', 'DINOv2')):
        backbone.update(checkpoint=None, pretrained=False)


def _apply_switches(model: torch.nn.Module, config: Config) -> None:
    prepare_networks(model, config)
    if config.get('compile'):
        compile_networks(model, {} if config.compile is True else config.compile)
