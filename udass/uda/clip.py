"""The clip of labelled pixels that the training step passes around, and the passes of the student made of clips.

Shapes: N batch, T frames (index 0 is the frame to segment, an image is a clip of one frame), H, W pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.flow.warping import resize_flow
from udass.io.labels import IGNORE_INDEX
from udass.models.windows import Box


@dataclass(frozen=True)
class Clip:
    """A batch of labelled clips.

    Attributes:
        frames: RGB pixels in [0, 255], (N, T, 3, H, W) float.
        labels: train ids, 255 = ignore, (N, T, H, W) int64.
        weights: factor of each pixel in the loss, (N, T, H, W) float in [0, 1].
        confidence: largest probability of pseudo-labels, (N, T, H, W); None for true labels.
        flow: motion in pixels (dx, dy) from frame 0 to each other frame, (N, T-1, 2, H, W); None for images.
        no_flow: pixels of frame 0 that have no motion (a pasted still image), so that frame 0 alone is used there,
            (N, 1, H, W) bool; None if there are none.
        cell_labels: pseudo-labels of frame 0 at the size of the logits, (N, D, h, w) int64, one map for each of D
            decoders, the main one first; None for clips without labels across time.
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
        return self.frames.shape[-2], self.frames.shape[-1]

    def __len__(self) -> int:
        return self.frames.shape[0]

    def __getitem__(self, index: slice | Tensor) -> 'Clip':
        """Some clips of the batch."""
        return self.map(lambda value: value[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> 'Clip':
        """Apply a function to every tensor."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return Clip(**{name: None if value is None else function(value) for name, value in tensors.items()})

    def select_frames(self, frames: Sequence[int]) -> 'Clip':
        """Clips of some of the frames. The first must be frame 0, where all flow starts."""

        def select(value: Tensor | None, frames: Sequence[int]) -> Tensor | None:
            return None if value is None or not frames else torch.stack([value[:, i] for i in frames], dim=1)

        maps = {name: select(getattr(self, name), frames) for name in ('frames', 'labels', 'weights', 'confidence')}
        return replace(self, **maps, flow=select(self.flow, [frame - 1 for frame in frames[1:]]))

    def crop(self, corners: Sequence[tuple[int, int]], size: tuple[int, int]) -> 'Clip':
        """Cut a window of ``size`` (H, W) out of each clip; corners are the first (row, column) of each window."""
        rows, columns = size
        return self.map(
            lambda value: torch.stack(
                [clip[..., y : y + rows, x : x + columns] for clip, (y, x) in zip(value, corners, strict=True)]
            )
        )

    def resize_frames(self, size: tuple[int, int], align_corners: bool) -> 'Clip':
        """The clips with frames and flow at another size (H, W); labels and weights keep theirs."""
        if size == self.size:
            return self
        frames = F.interpolate(self.frames.flatten(0, 1), size, mode='bilinear', align_corners=align_corners)
        flow = self.flow
        if flow is not None:
            flow = resize_flow(flow.flatten(0, 1), size).unflatten(0, flow.shape[:2])
        return replace(self, frames=frames.unflatten(0, self.frames.shape[:2]), flow=flow)

    def join(self, other: 'Clip') -> 'Clip':
        """One batch of both; attributes that one of them lacks are dropped."""
        pairs = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return Clip(**{name: torch.cat(pair) for name, pair in pairs.items() if all(part is not None for part in pair)})

    def match_shape(self, batch: int, size: tuple[int, int]) -> 'Clip':
        """The clips with another batch and image size (H, W), without resampling: samples are repeated in turn up to
        ``batch``, rows and columns cut off at the bottom and right, or added there with label 255, which is never
        pasted."""
        clip = self
        if len(clip) != batch:
            clip = clip[torch.arange(batch, device=clip.frames.device) % len(clip)]
        if clip.size == size:
            return clip
        height, width = size
        padding = (0, max(width - clip.size[1], 0), 0, max(height - clip.size[0], 0))
        labels = F.pad(clip.labels[..., :height, :width], padding, value=IGNORE_INDEX)
        return replace(clip.map(lambda value: F.pad(value[..., :height, :width], padding)), labels=labels)


def paste(mask: Tensor, over: Clip, under: Clip) -> Clip:
    """``mask ? over : under`` for pixels, labels, weights and flow alike, so that each pixel keeps its label.

    Flow follows the mask of the other frame, as published (UDASS, QuadMix on clips): where the masks of the two frames
    differ, along the borders of moving objects, a pixel has the motion of the other clip.

    Args:
        mask: (N, T, H, W) bool.
        over, under: clips of the same size. The flow stays that of ``under`` if ``over`` has none (a still image).
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


@dataclass(frozen=True)
class Pass:
    """One forward and backward of the student: its input, and how much its loss counts.

    Attributes:
        name: prefix of its losses in the log (``source``, ``mix``, ``tss``, ``tst``, ``masked``, ``target``,
            ``cross_frame``, ``distilled_source``, ``distilled_target``).
        clip: pixels, labels and weights.
        scale: factor of its cross-entropy in the total loss; the log has the loss without it.
        labelled: False replaces the cross-entropy by the adaptation loss on unlabelled images.
        weighted: whether its pixels have weights; those of the source all count alike.
        box: the detail crop of HRDA networks.
        feature_distance: whether the feature distance is added to its loss.
        pasted: (N, T, H, W) bool, pixels that two mixed passes share, where decoder features may be mixed.
        auxiliary: whether auxiliary heads of a flow-guided network learn from it.
        auxiliary_labels: labels of the auxiliary heads, (N, D, h, w), one map for each; None gives them the clip's.
        extra: a second clip for which a flow-guided network also computes logits, without a cross-entropy.
        token_mask: (N, h, w) bool, tokens of the student's ViT that its mask token replaces.
        distilled: frames (N, T, 3, H, W) whose frozen features the student learns, in place of the labels.
        track_statistics: whether the student's running statistics of batch norm follow its images.
    """

    name: str
    clip: Clip
    scale: float = 1.0
    labelled: bool = True
    weighted: bool = True
    box: Box | None = None
    feature_distance: bool = False
    pasted: Tensor | None = None
    auxiliary: bool = True
    auxiliary_labels: Tensor | None = None
    extra: Clip | None = None
    token_mask: Tensor | None = None
    distilled: Tensor | None = None
    track_statistics: bool = True

    def split(self, parts: int) -> list['Pass']:
        """The pass of each of several equal parts of the batch, one after the other."""
        if parts == 1:
            return [self]
        size = len(self.clip) // parts
        if size * parts != len(self.clip):
            raise ValueError(f'a batch of {len(self.clip)} cannot be split into {parts} equal parts')
        batched = {field.name: getattr(self, field.name) for field in fields(self)}
        batched = {name: value for name, value in batched.items() if isinstance(value, Clip | Tensor)}
        slices = [slice(first, first + size) for first in range(0, len(self.clip), size)]
        return [replace(self, **{name: value[part] for name, value in batched.items()}) for part in slices]

    def data_samples(self) -> list[SegDataSample]:
        """mmseg data samples of frame 0 with ``gt_sem_seg`` and, if weighted, ``gt_pixel_weight``, both (1, H, W), and
        ``auxiliary_sem_seg`` (D, h, w) if there are auxiliary labels."""
        samples = []
        for index, clip in enumerate(self.clip.labels[:, :1]):
            sample = SegDataSample(metainfo=dict(img_shape=self.clip.size, ori_shape=self.clip.size))
            sample.gt_sem_seg = PixelData(data=clip)
            if self.weighted:
                sample.gt_pixel_weight = PixelData(data=self.clip.weights[index, :1])
            if self.auxiliary_labels is not None:
                sample.auxiliary_sem_seg = PixelData(data=self.auxiliary_labels[index])
            samples.append(sample)
        return samples


class PassResult(NamedTuple):
    """What a pass leaves to the rest of its iteration.

    Attributes:
        loss: scalar; with its graph if all passes have one backward.
        log: its losses for the log, on the device.
        logits: (N, C, h, w) where later losses need them, else None.
        labels: (N, H, W) of these logits.
        features: decoder features for `FeatureMixing`, one tensor (N, E, h, w) per call of the fusion layer.
    """

    loss: Tensor
    log: dict[str, Tensor]
    logits: Tensor | None = None
    labels: Tensor | None = None
    features: Sequence[Tensor] = ()


def mean_logs(logs: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each scalar over several logs of the same scalars."""
    return {key: torch.stack([log[key] for log in logs]).mean() for key in logs[0]}


def stack_field(samples: Sequence[SegDataSample], name: str) -> Tensor | None:
    """A field of loaded data samples as one batch, such as ``flow`` (N, T-1, 2, H, W); None if they lack it."""
    if not samples or name not in samples[0]:
        return None
    return torch.stack([sample.get(name).data for sample in samples])
