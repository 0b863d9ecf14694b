"""Made-up batches, shaped like those of the loaders of a config, for measurements that need no data set.

Shapes: N batch, T frames, H, W pixels.
"""

from collections.abc import Mapping

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.uda import DomainAdapter, VideoAdapter
from udass.uda.clip import Clip

# Pixels per side of a region of one class.
_REGION = 32
_SPREAD = 6.0


def random_images(number: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(number, 3, H, W) uint8."""
    return torch.randint(0, 256, (number, 3, *size), generator=generator, dtype=torch.uint8)


def random_labels(number: int, size: tuple[int, int], num_classes: int, generator: torch.Generator) -> Tensor:
    """Regions of one class each, (number, H, W) int64."""
    cells = [-(-length // _REGION) for length in size]
    regions = torch.randint(0, num_classes, (number, *cells), generator=generator)
    return regions.repeat_interleave(_REGION, 1).repeat_interleave(_REGION, 2)[:, : size[0], : size[1]].contiguous()


def random_clip(
    batch: int, size: tuple[int, int], num_classes: int, generator: torch.Generator, confidence: bool = False
) -> Clip:
    """Images (T = 1) with labels and weights, and with a confidence as pseudo-labels have it."""
    labels = random_labels(batch, size, num_classes, generator)[:, None]
    values = torch.rand(2, *labels.shape, generator=generator)
    return Clip(
        frames=random_images(batch, size, generator)[:, None].float(),
        labels=labels,
        weights=values[0],
        confidence=values[1] if confidence else None,
    )


def _samples(
    model: DomainAdapter,
    number: int,
    size: tuple[int, int],
    frames: int,
    labelled: bool,
    generator: torch.Generator,
    metainfo: Mapping,
) -> dict:
    inputs, samples = [], []
    for index in range(number):
        sample = SegDataSample(metainfo={**metainfo, 'frame_paths': [f'{index}_{i}' for i in range(frames)]})
        if labelled:
            labels = random_labels(frames, size, model.student_classes, generator)
            sample.gt_sem_seg = PixelData(data=labels)
        if frames > 1:
            sample.flow = _SPREAD * (torch.rand(frames - 1, 2, *size, generator=generator) - 0.5)
        if frames == 4:
            sample.past_flow = _SPREAD * (torch.rand(1, 2, *size, generator=generator) - 0.5)
        pictures = random_images(frames, size, generator)
        inputs.append(pictures if frames > 1 else pictures[0])
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def random_batch(
    model: DomainAdapter, batch: int, size: tuple[int, int], seed: int, long_tail_draws: int = 0, rare_class: int = 0
) -> dict[str, dict]:
    """What the loaders hand to one training step.

    Args:
        model: whose method decides about domains, clips and long-tail images.
        batch: samples of each domain.
        size: (H, W) of the crops.
        seed: of all content.
        long_tail_draws: rare classes per step, 0 for none.
        rare_class: train id that is pasted.
    """
    generator = torch.Generator().manual_seed(seed)
    video = isinstance(model, VideoAdapter)
    frames = 2 if video else 1
    data = {'source': _samples(model, batch, size, frames, True, generator, {})}
    if model.needs_target:
        data['target'] = _samples(model, batch, size, 4 if video else 1, False, generator, {})
    mixes = getattr(model.mixing, 'number_of_mixes', 0)
    if long_tail_draws and mixes:
        data['long_tail'] = _samples(
            model, long_tail_draws * mixes * batch, size, frames, True, generator, {'paste_class': rare_class}
        )
    return data
