"""The one container that the training step passes around: pixels with their labels, weights and motion.

Shapes: N batch, T frames (index 0 is the frame to segment, an image is a clip of one frame), H, W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


@dataclass(frozen=True)
class Clip:
    """A batch of labelled clips.

    Attributes:
        frames: RGB pixels in [0, 255], (N, T, 3, H, W) float.
        labels: train ids, 255 = ignore, (N, T, H, W) int64.
        weights: factor of each pixel in the loss, (N, T, H, W) float in [0, 1].
        confidence: largest softmax score of pseudo-labels, (N, T, H, W); None for true labels.
        flow: motion in pixels (dx, dy) from frame 0 to each other frame, (N, T-1, 2, H, W); None for images.
        no_flow: where frame 0 shows what has no motion (a pasted still image), so that the other frames say nothing of
            it, (N, 1, H, W) bool; None has no such pixels.
        cell_labels: pseudo-labels of frame 0 at the size of a decoder's logits, (N, D, h, w) int64, one for each of the
            D decoders (the main one first); None for clips without labels across time.
    """

    frames: Tensor
    labels: Tensor
    weights: Tensor
    confidence: Tensor | None = None
    flow: Tensor | None = None
    no_flow: Tensor | None = None
    cell_labels: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return tuple(self.frames.shape[-2:])

    def __len__(self) -> int:
        return self.frames.shape[0]

    def map(self, function: Callable[[Tensor], Tensor]) -> 'Clip':
        """Apply ``function`` to every tensor that is there."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Clip(**{name: None if value is None else function(value) for name, value in values.items()})

    def with_frames(self, frames: Tensor) -> 'Clip':
        """The same clip with other pixels."""
        return replace(self, frames=frames)

    def head(self, number: int) -> 'Clip':
        """The first clips of the batch."""
        return self.map(lambda value: value[:number])

    def select(self, frames: Sequence[int]) -> 'Clip':
        """The clips made of these frames only, of which the first must be frame 0, where all flow starts."""

        def of(value: Tensor | None, chosen: Sequence[int]) -> Tensor | None:
            return None if value is None or not chosen else torch.stack([value[:, i] for i in chosen], dim=1)

        return replace(
            self,
            frames=of(self.frames, frames),
            labels=of(self.labels, frames),
            weights=of(self.weights, frames),
            confidence=of(self.confidence, frames),
            flow=of(self.flow, [frame - 1 for frame in frames[1:]]),
        )

    def crop(self, corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> 'Clip':
        """Windows of ``size`` (H, W), one per clip, whose upper left corners are given as (row, column)."""
        height, width = size

        def cut(value: Tensor) -> Tensor:
            return torch.stack(
                [
                    sample[..., row : row + height, column : column + width]
                    for sample, (row, column) in zip(value, corners, strict=True)
                ]
            )

        return self.map(cut)

    def join(self, other: 'Clip') -> 'Clip':
        """One batch of both; what only one of them has is dropped."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return Clip(**{name: torch.cat(pair) for name, pair in pairs.items() if all(part is not None for part in pair)})

    def fit(self, batch: int, size: tuple[int, int]) -> 'Clip':
        """Bring the clip to another batch and image size without touching a pixel.

        Samples are repeated in turn up to ``batch``; rows and columns beyond ``size`` (H, W) are cut off at the bottom
        and right, missing ones are added there with label 255, which no mixing step ever pastes. This is how source and
        target crops of different sizes are mixed.
        """
        clip = self
        if len(clip) != batch:
            index = torch.arange(batch, device=clip.frames.device) % len(clip)
            clip = clip.map(lambda value: value[index])
        if clip.size == size:
            return clip
        height, width = size
        padding = (0, max(width - clip.size[1], 0), 0, max(height - clip.size[0], 0))
        labels = F.pad(clip.labels[..., :height, :width], padding, value=IGNORE)
        clip = clip.map(lambda value: F.pad(value[..., :height, :width], padding))
        return replace(clip, labels=labels)


def paste(mask: Tensor, over: Clip, under: Clip) -> Clip:
    """``mask ? over : under`` for pixels, labels, weights and flow alike, so that each pixel keeps what belongs to it.

    Flow follows the mask of the other frame, as published (UDASS, QuadMix on clips): where the masks of the two frames
    differ, along the borders of what moves, a pixel has the motion of another clip. On the built-in streets these are
    0 to 1.4 % of the pixels.

    Args:
        mask: (N, T, H, W) bool.
        over, under: clips of the same size; confidence is dropped, it means nothing in a mixture. The flow stays that
            of ``under`` where ``over`` has none (a still image).
    """
    flow = under.flow
    if flow is not None and over.flow is not None:
        flow = torch.where(mask[:, 1:, None], over.flow, flow)
    return Clip(
        frames=torch.where(mask[:, :, None], over.frames, under.frames),
        labels=torch.where(mask, over.labels, under.labels),
        weights=torch.where(mask, over.weights, under.weights),
        flow=flow,
    )
