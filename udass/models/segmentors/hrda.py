"""The multi-resolution segmentor of HRDA: the whole image at low resolution, a part of it at full resolution.

Shapes: N images, C classes, H, W pixels. Boxes are in pixels of the full-resolution image.
Source: Hoyer et al. 2022 (arXiv 2204.13132).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from mmseg.utils import add_prefix
from torch import Tensor

from udass.models.heads.hrda_head import fuse_scales
from udass.models.losses.pixel_weight import stack_pixel_weights
from udass.models.segmentors.sliding import Outputs, SlidingEncoderDecoder
from udass.models.windows import Box, average_windows, pad_to_multiple, uses_batch_statistics, window_boxes


class TrainingLogits(NamedTuple):
    """Logits of one forward in training, with one box of detail.

    Attributes:
        fused: (N, C, H, W) at image size.
        detail: (N, C, bh, bw) of the pixels in ``box``, the part of the detail's box inside the image.
        context: backbone features of the context.
    """

    fused: Tensor
    detail: Tensor
    box: Box
    context: list[Tensor]


@MODELS.register_module()
class HRDAEncoderDecoder(SlidingEncoderDecoder):
    """Context at one scale, detail at a finer one, fused by an `HRDAHead`.

    Training sees the detail of one box per batch: the caller gives it (``crop_box``), or it is drawn, from the caller's
    generator or from torch's default one. Inference, which also gives the pseudo-labels, slides the detail over the
    whole image.

    Images may have any size. They are padded with the mean colour to whole cells of the context (output_stride /
    context scale pixels); logits and losses leave the padding out. An image smaller than the crop is one detail window.

    Args:
        decode_head: config of an `HRDAHead`.
        crop_size: (height, width) of the detail box in training and of the detail windows in inference; multiples of
            a context cell.
        output_stride: pixels of the backbone's input per cell of logits: 4 under DAFormer's head, 8 under DLV2's.
        scales: of context and detail; the second is a whole multiple of the first.
        feature_scale: of `extract_feat`, which serves the feature distance; None is the context's scale.
        overlapping_slide: detail windows overlap by half and are averaged; False puts them side by side (Hoyer et al.
            2022, table 7).

    Raises:
        ValueError: scales, output stride and crop size do not fit each other.
    """

    def __init__(
        self,
        backbone: dict,
        decode_head: dict,
        crop_size: tuple[int, int],
        output_stride: int,
        scales: tuple[float, float] = (0.5, 1.0),
        feature_scale: float | None = None,
        overlapping_slide: bool = True,
        neck: dict | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            decode_head=decode_head,
            neck=neck,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
        )
        self.scales = tuple(scales)
        self.crop_size = tuple(crop_size)
        self.output_stride = output_stride
        self.feature_scale = self.scales[0] if feature_scale is None else feature_scale
        self.overlapping_slide = overlapping_slide
        self.context_cell, self.detail_cell = cell_sizes(self.scales, output_stride)
        if any(side % self.context_cell or side // 2 % self.detail_cell for side in self.crop_size):
            raise ValueError(
                f'crop_size must be multiples of {self.context_cell} (output stride {output_stride} / '
                f'context scale {self.scales[0]}) and their halves of {self.detail_cell}; got {crop_size}'
            )

    def draw_crop_box(self, size: Sequence[int], generator: torch.Generator | None = None) -> Box:
        """A detail box inside images of ``size`` (H, W), padding included, on the grid of the context's cells. Every
        position is equally likely (the reference never draws the last one); the generator lives on the CPU."""
        edges: list[int] = []
        for length, crop in zip(size, self.crop_size, strict=True):
            length += -length % self.context_cell
            places = max(length - crop, 0) // self.context_cell + 1
            start = torch.randint(places, (1,), generator=generator).tolist()[0] * self.context_cell
            edges += [start, min(start + crop, length)]
        return Box(*edges)

    def views(self, maps: Tensor, box: Box) -> list[Tensor]:
        """The parts of maps (N, K, H, W) that context and detail see, at the image's resolution and padded like it."""
        padded = pad_to_multiple(maps, self.context_cell)
        return [padded, box.cut(padded)]

    # Context and detail have grids of their own: there are no token masks.
    def extract_feat(self, inputs: Tensor) -> list[Tensor]:  # type: ignore[override]
        """Backbone features of the whole images (N, 3, H, W) at ``feature_scale``."""
        return self._features(pad_to_multiple(inputs, self.context_cell), self.feature_scale)

    def loss(self, inputs: Tensor, data_samples: list, **options: Any) -> dict[str, Tensor]:
        """The losses of `outputs`, whose options it takes."""
        return self.outputs(inputs, data_samples, **options).losses

    def outputs(  # type: ignore[override]
        self,
        inputs: Tensor,
        data_samples: list,
        *,
        crop_box: Sequence[int] | None = None,
        generator: torch.Generator | None = None,
    ) -> Outputs:
        """Losses of normalised images (N, 3, H, W), features at ``feature_scale`` (of the same forward where that is
        the context's scale) and fused logits (N, C, H, W).

        Args:
            data_samples: with labels, and with pixel weights or without.
            crop_box: (y1, y2, x1, x2) of the detail; None draws it with ``generator``. ValueError if it lies off the
                grid or outside the image.
        """
        box = self.training_box(inputs, data_samples, crop_box, generator)
        return self.outputs_of(self.training_logits(inputs, box), inputs, data_samples)

    def training_box(
        self, images: Tensor, data_samples: list, crop_box: Sequence[int] | None, generator: torch.Generator | None
    ) -> Box:
        """The given or drawn box of the detail; arguments and errors as in `outputs`."""
        size, labelled = tuple(images.shape[2:]), tuple(data_samples[0].gt_sem_seg.shape[-2:])
        if labelled != size:
            raise ValueError(f'images of {size} pixels have labels of {labelled}; HRDA needs one size')
        if crop_box is None:
            return self.draw_crop_box(size, generator)
        box = Box(*map(int, crop_box))
        height, width = (length + -length % self.context_cell for length in size)
        inside = 0 <= box.y1 < box.y2 <= height and 0 <= box.x1 < box.x2 <= width
        if not inside or any(edge % self.detail_cell for edge in box):
            raise ValueError(
                f'the detail crop (y1, y2, x1, x2) must lie inside the (padded) image, {height} x {width} pixels, with '
                f'edges at multiples of {self.detail_cell}; got {tuple(box)}'
            )
        return box

    def training_logits(self, inputs: Tensor, box: Box) -> TrainingLogits:
        """Logits of images (N, 3, H, W), the detail inside the box only."""
        height, width = inputs.shape[2:]
        images = pad_to_multiple(inputs, self.context_cell)
        context, detail_features = self._both_features(images, box.cut(images))
        context_logits, detail = self.decode_head(context), self.decode_head(detail_features)
        fused = self._fuse(context, context_logits, detail, box)
        # The padding ends here: logits are enlarged with it and cut to the image before they meet the labels.
        inside = Box(box.y1, min(box.y2, height), box.x1, min(box.x2, width))
        fused = self._enlarge(fused, images.shape[2:])[..., :height, :width]
        detail = self._enlarge(detail, box.size)[..., : inside.size[0], : inside.size[1]]
        return TrainingLogits(fused, detail, inside, context)

    def outputs_of(self, logits: TrainingLogits, images: Tensor, data_samples: list) -> Outputs:
        """The losses of logits of images (N, 3, H, W), with the features at ``feature_scale``."""
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])
        weights = stack_pixel_weights(data_samples)
        losses = self.decode_head.pixel_loss(logits.fused, logits.detail, logits.box, labels, weights)
        features = logits.context if self.feature_scale == self.scales[0] else self.extract_feat(images)
        return Outputs(add_prefix(losses, 'decode'), features, logits.fused)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, C, H, W) of normalised images (N, 3, H, W), the detail everywhere."""
        images = pad_to_multiple(inputs, self.context_cell)
        context = self._features(images, self.scales[0])
        context_logits = self.decode_head(context)
        size = images.shape[2:]
        stride = tuple(side // 2 for side in self.crop_size) if self.overlapping_slide else self.crop_size
        boxes = window_boxes(size, self.crop_size, stride)

        def predict(windows: Tensor) -> Tensor:
            return self.decode_head(self._features(windows, self.scales[1]))

        detail_logits = average_windows(images, boxes, predict, self.detail_cell, self.max_batch)
        fused = self._fuse(context, context_logits, detail_logits, Box(0, size[0], 0, size[1]))
        return self._enlarge(fused, size)[..., : inputs.shape[2], : inputs.shape[3]]

    def _forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        return self.encode_decode(inputs, [])

    def _features(self, images: Tensor, scale: float) -> list[Tensor]:
        return super().extract_feat(self._scaled(images, scale))

    def _both_features(self, images: Tensor, windows: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features of images (N, 3, H, W) as context and of windows (M, 3, h, w) as detail: of one size after scaling
        they go through the encoder as one batch, unless batch norm in training mode would mix their statistics."""
        context, detail = self._scaled(images, self.scales[0]), self._scaled(windows, self.scales[1])
        encoder = [self.backbone, self.neck] if self.with_neck else [self.backbone]
        if context.shape[2:] != detail.shape[2:] or any(map(uses_batch_statistics, encoder)):
            return super().extract_feat(context), super().extract_feat(detail)
        features = super().extract_feat(torch.cat([context, detail]))
        first, second = zip(*(stage.split([len(context), len(detail)]) for stage in features), strict=True)
        return list(first), list(second)

    def _scaled(self, images: Tensor, scale: float) -> Tensor:
        if scale == 1:
            return images
        size = [round(side * scale) for side in images.shape[2:]]
        return resize(images, size=size, mode='bilinear', align_corners=self.align_corners)

    def _fuse(self, context: list[Tensor], context_logits: Tensor, detail_logits: Tensor, box: Box) -> Tensor:
        found, expected = tuple(detail_logits.shape[2:]), box.cells(self.detail_cell).size
        if found != expected:
            raise ValueError(
                f'a detail of {box.size} pixels gave logits of {found} cells, expected {expected} at an output stride '
                f'of {self.output_stride}: set output_stride to what the network has'
            )
        attention = self.decode_head.attention(context)
        boxes = box.cells(self.context_cell), box.cells(self.detail_cell)
        ratio = self.context_cell // self.detail_cell
        return fuse_scales(context_logits, attention, detail_logits, *boxes, ratio, self.align_corners)

    def _enlarge(self, logits: Tensor, size: Sequence[int]) -> Tensor:
        return resize(logits, size=size, mode='bilinear', align_corners=self.align_corners)


def cell_sizes(scales: Sequence[float], output_stride: int) -> tuple[int, int]:
    """Full-resolution pixels per cell of logits of context and detail; ValueError if they are not whole numbers, or the
    first is no multiple of the second."""
    cells = [output_stride / scale for scale in scales]
    if any(cell != int(cell) for cell in cells) or cells[0] % cells[1]:
        raise ValueError(
            'output_stride / scale must be whole pixels, and the detail scale a whole multiple of the context scale; '
            f'got scales {scales} at output stride {output_stride}'
        )
    return int(cells[0]), int(cells[1])
