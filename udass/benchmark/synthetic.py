"""Random batches, shaped like those of the loaders of a config, for measurements that need no data set.

Shapes: N batch, T frames, H, W pixels.
"""

import torch
from mmengine.structures import PixelData
from torch import Tensor

from udass.datasets.transforms.packing import PinnableSample
from udass.uda import DomainAdapter, VideoAdapter
from udass.uda.clip import Clip

# Pixels per side of a region of one class.
_REGION = 32


def random_images(number: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """(number, 3, H, W) uint8."""
    return torch.randint(0, 256, (number, 3, *size), generator=generator, dtype=torch.uint8)


def random_labels(number: int, size: tuple[int, int], num_classes: int, generator: torch.Generator) -> Tensor:
    """Regions of one class each, (number, H, W) int64."""
    cells = [-(-length // _REGION) for length in size]
    regions = torch.randint(0, num_classes, (number, *cells), generator=generator)
    return regions.repeat_interleave(_REGION, 1).repeat_interleave(_REGION, 2)[:, : size[0], : size[1]].contiguous()


def random_clip(number: int, size: tuple[int, int], num_classes: int, generator: torch.Generator) -> Clip:
    """Images (T = 1) with labels, weights and confidence."""
    labels = random_labels(number, size, num_classes, generator)[:, None]
    weights, confidence = torch.rand(2, *labels.shape, generator=generator)
    frames = random_images(number, size, generator)[:, None].float()
    return Clip(frames=frames, labels=labels, weights=weights, confidence=confidence)


def random_batch(
    model: DomainAdapter, batch: int, size: tuple[int, int], seed: int, long_tail_draws: int = 0
) -> dict[str, dict]:
    """The batches of one training step.

    Args:
        model: its method decides about domains, clips and long-tail images.
        batch: samples of each domain.
        size: (H, W) of the crops.
        seed: of all content.
        long_tail_draws: rare classes per step, 0 for none.
    """
    generator = torch.Generator().manual_seed(seed)
    frames = 2 if isinstance(model, VideoAdapter) else 1

    def domain(number: int, frames: int, labelled: bool, metainfo: dict) -> dict:
        inputs, samples = [], []
        for index in range(number):
            sample = PinnableSample(metainfo={**metainfo, 'frame_paths': [f'{index}_{t}' for t in range(frames)]})
            images = random_images(frames, size, generator)
            if labelled:
                sample.gt_sem_seg = PixelData(data=random_labels(frames, size, model.student_classes, generator).byte())
            if frames > 1:
                # Of up to 3 pixels.
                sample.flow = 6 * torch.rand(frames - 1, 2, *size, generator=generator) - 3
            if frames == 4:
                sample.past_flow = 6 * torch.rand(1, 2, *size, generator=generator) - 3
            inputs.append(images if frames > 1 else images[0])
            samples.append(sample)
        return dict(inputs=inputs, data_samples=samples)

    data = {'source': domain(batch, frames, True, {})}
    if model.needs_target:
        data['target'] = domain(batch, 4 if frames > 1 else 1, False, {})
    pasted = long_tail_draws * batch * getattr(model.mixing, 'number_of_mixes', 0)
    if pasted:
        data['long_tail'] = domain(pasted, frames, True, {'paste_class': 0})
    return data


def pinned(data: dict[str, dict]) -> dict[str, dict]:
    """The batches in pinned memory, as loaders give them where there is a GPU."""
    return {
        domain: {name: [value.pin_memory() for value in values] for name, values in batch.items()}
        for domain, batch in data.items()
    }
