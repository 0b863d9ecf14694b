"""What inference costs."""

from collections.abc import Callable
from functools import partial

import torch
from mmengine.config import Config
from mmseg.structures import SegDataSample
from torch import nn

from udass.benchmark.batches import random_images
from udass.benchmark.memory import peak_memory
from udass.benchmark.mix import build_network
from udass.benchmark.timing import ratio, time_in_turns
from udass.engine.precision import compile_networks, use_channels_last
from udass.models.segmentors import FlowGuidedEncoderDecoder

_FLOW = 5.0


def _predictor(config: Config, batch: int, size: tuple[int, int], device: torch.device) -> Callable[[], list]:
    """Predicts pictures that are on the device already, class ids at their own size."""
    torch.manual_seed(0)
    network: nn.Module = build_network(config).to(device).eval()
    if config.get('channels_last'):
        use_channels_last(network)
    if config.get('compile'):
        compile_networks(network, {} if config.compile is True else config.compile)
    generator = torch.Generator().manual_seed(0)
    shape = torch.Size(size)
    samples = [SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape, pad_shape=shape)) for _ in range(batch)]
    data = network.data_preprocessor(dict(inputs=list(random_images(batch, size, generator)), data_samples=samples))
    inputs, options = data['inputs'], {}
    if isinstance(network, FlowGuidedEncoderDecoder):
        inputs = torch.stack([inputs, inputs.roll(1, -1)], dim=1)
        options['flow'] = _FLOW * torch.rand(batch, 1, 2, *size, generator=generator).to(device)

    @torch.no_grad()
    def predict() -> list:
        return [sample.pred_sem_seg.data for sample in network(inputs, data['data_samples'], mode='predict', **options)]

    return predict


def benchmark_inference(
    configs: dict[str, Config], batch: int, size: tuple[int, int], repeats: int, warmup: int, device: torch.device
) -> dict:
    """Seconds per batch and peak memory of each config's network, from pixels to class ids.

    Returns:
        dict: ``rows``, and the ``ratio`` of the second config's time to the first one's, if there are two.
    """
    predictors = {name: _predictor(config, batch, size, device) for name, config in configs.items()}
    timings = time_in_turns(predictors, repeats, warmup, device)
    rows = [
        {
            'config': name,
            'batch': batch,
            'size': list(size),
            **timing.to_dict(),
            'images_per_second': batch / timing.median,
            'peak_bytes': peak_memory(partial(predictors[name]), device),
        }
        for name, timing in timings.items()
    ]
    result: dict = {'rows': rows}
    if len(timings) == 2:
        first, second = timings.values()
        result['ratio'] = ratio(second, first)
    return result
