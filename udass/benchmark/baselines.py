"""The same results the slow way: what the optimised code is measured against, and tested to be equal to.

The formulas are those of the reference code bases (DACS, DAFormer, MIC, UDASS); the code is written anew.

Shapes: N batch, T frames, H, W pixels.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from udass.uda.clip import Clip

Choice = list[Tensor]
"""Per image, the classes to paste, int64."""
Blend = Callable[[Tensor, Tensor, Tensor], Tensor]


def broadcast_mask(labels: Tensor, classes: Tensor) -> Tensor:
    """Pixels of the classes (1, H, W) int64 in {0, 1}: the labels (1, H, W) compared with every class, and summed."""
    labels, classes = torch.broadcast_tensors(labels, classes[:, None, None])
    return labels.eq(classes).sum(0, keepdim=True)


def blend(mask: Tensor, over: Tensor, under: Tensor) -> Tensor:
    """mask * over + (1 - mask) * under, as the reference code bases paste."""
    mask, _ = torch.broadcast_tensors(mask, over)
    return mask * over + (1 - mask) * under


def select(mask: Tensor, over: Tensor, under: Tensor) -> Tensor:
    """The plain way: ``torch.where``."""
    return torch.where(mask > 0, over, under)


def quadmix_per_image(
    source: Clip,
    target: Clip,
    template_source: Clip,
    template_target: Clip,
    source_classes: Choice,
    target_classes: Choice,
    threshold: float,
    paste: Blend,
) -> list[list[Tensor]]:
    """SS, ST, TSS and TST image by image and tensor by tensor.

    Args:
        source, target, template_source, template_target: images (T = 1), as for `quadmix`.
        source_classes, target_classes: classes to paste of each template.
        threshold: smallest confidence of a pasted pixel of the template target.
        paste: `blend` or `select`.

    Returns:
        ``[mixture][frames, labels, weights]``, each (N, 1, ...).
    """
    mixtures: list[list[list[Tensor]]] = []
    for i in range(len(source)):
        over_source = broadcast_mask(template_source.labels[i], source_classes[i])
        over_target = broadcast_mask(template_target.labels[i], target_classes[i])
        over_target = over_target * (template_target.confidence[i] >= threshold)
        parts = []
        for name in ('frames', 'labels', 'weights'):
            s, t, old_s, old_t = (getattr(clip, name)[i] for clip in (source, target, template_source, template_target))
            ss, st = paste(over_source, old_s, s), paste(over_source, old_s, t)
            parts.append([ss, st, paste(over_target, old_t, ss), paste(over_target, old_t, st)])
        mixtures.append(list(zip(*parts, strict=True)))
    return [[torch.stack(tensors) for tensors in zip(*images, strict=True)] for images in zip(*mixtures, strict=True)]


@torch.no_grad()
def ema_per_parameter(teacher: nn.Module, student: nn.Module, keep: float) -> None:
    """teacher = keep * teacher + (1 - keep) * student, one parameter after the other."""
    for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        mine.data[:] = keep * mine.data[:] + (1 - keep) * theirs.data[:]


def reload_and_retry(load: Callable[[], dict], rare_class: int, min_pixels: float, tries: int = 10) -> tuple[dict, int]:
    """Run a pipeline from the file on until its crop shows a rare class (DAFormer and what is built on it).

    Args:
        load: reads, resizes, crops and packs an image; the crop is drawn anew each time.
        rare_class: train id.
        min_pixels: pixels of the class that the crop must exceed.
        tries: how often to try again.

    Returns:
        The last sample, and how often one was loaded.
    """
    sample, loads = load(), 1
    while (sample['data_samples'].gt_sem_seg.data == rare_class).sum() <= min_pixels and loads <= tries:
        sample, loads = load(), loads + 1
    return sample, loads
