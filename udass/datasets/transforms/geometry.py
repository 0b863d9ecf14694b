"""Resize, crop, cut and flip images and clips: all frames, labels and flow alike.

Keys and flow convention as in ``loading``. If a transform moves a point at p to G(p), a flow f becomes G(p + f) - G(p)
at G(p): crops leave the vectors as they are, a horizontal flip negates dx, a resize multiplies dx by the ratio of the
widths and dy by that of the heights.
"""

from collections.abc import Callable

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import RandomFlip, Resize
from mmseg.registry import TRANSFORMS

from udass.datasets.transforms.cropping import RareClassCrop
from udass.io.labels import IGNORE_INDEX

Function = Callable[[np.ndarray], np.ndarray]


def apply_to_others(results: dict, frame: Function, flow: Function) -> None:
    """Apply ``frame`` to the frames after frame 0 and ``flow`` to all flows; to an array that occurs twice only once
    (with k = 1, frame t - 1 is also t - k)."""
    frames, flows = results.get('other_frames', []), results.get('flows', {})
    changed = {id(value): frame(value) for value in {id(value): value for value in frames}.values()}
    changed.update({key: flow(value) for key, value in {id(value): value for value in flows.values()}.items()})
    if 'other_frames' in results:
        results['other_frames'] = [changed[id(value)] for value in frames]
    if 'flows' in results:
        results['flows'] = {pair: changed[id(value)] for pair, value in flows.items()}


def _apply_to_all(results: dict, function: Function, name: str) -> dict:
    """Apply a cut to frames, labels and flows; ``name`` is that of the transform."""
    for key in ('img', *results.get('seg_fields', [])):
        results[key] = function(results[key])
    apply_to_others(results, function, function)
    results['img_shape'], results['moved_by'] = results['img'].shape[:2], name
    return results


def resize_flow_map(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Flow (h, w, 2) in pixels -> (H, W, 2) in pixels of ``size`` (H, W), sampled where OpenCV samples the frames."""
    height, width = flow.shape[:2]
    if (height, width) == tuple(size):
        return flow
    ratio = np.array([size[1] / width, size[0] / height], np.float32)
    return cv2.resize(flow, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) * ratio


@TRANSFORMS.register_module()
class ClipResize(Resize):
    """mmseg's ``Resize`` for clips; arguments and errors as there. Also for ``dict(type='RandomResize',
    resize_type='ClipResize', ...)``."""

    def transform(self, results: dict) -> dict:
        results = super().transform(results)
        size = results['img_shape']
        apply_to_others(
            results,
            lambda frame: mmcv.imresize(frame, size[::-1], interpolation=self.interpolation, backend=self.backend),
            lambda flow: resize_flow_map(flow, size),
        )
        return results


@TRANSFORMS.register_module()
class ResizeToCover(ClipResize):
    """Resize images or clips at their own aspect ratio to the smallest size that covers ``scale``.

    Any image is then large enough for a crop of up to ``scale``, and none is squashed: a portrait of 300x400 pixels is
    resized to 256x341 for ``scale=(256, 128)``. An image of the proportions of ``scale`` gets this size. Also for
    ``dict(type='RandomResize', resize_type='ResizeToCover', scale=..., ratio_range=...)``.

    Args:
        scale: (width, height) in pixels to cover at least, as of mmcv's ``Resize``.
        interpolation: for images, see mmcv; labels take the nearest pixel.
    """

    def __init__(self, scale: tuple[int, int], interpolation: str = 'bilinear') -> None:
        super().__init__(scale=scale, keep_ratio=False, interpolation=interpolation)

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        factor = max(results['scale'][0] / width, results['scale'][1] / height)
        results['scale'] = round(width * factor), round(height * factor)
        super()._resize_img(results)


@TRANSFORMS.register_module()
class PadToCover(BaseTransform):
    """Pad an image on the right and at the bottom to the smallest size that covers ``scale`` (width, height): black,
    without a label (255), and of the target without a pseudo-label (``valid_pseudo_mask`` 0, which is made if there is
    none). Not for clips."""

    def __init__(self, scale: tuple[int, int]) -> None:
        super().__init__()
        self.scale = tuple(scale)

    def transform(self, results: dict) -> dict:
        height, width = results['img'].shape[:2]
        if 'gt_seg_map' not in results and 'valid_pseudo_mask' not in results:
            # Also where nothing is padded: the samples of a batch must have the same fields.
            results['valid_pseudo_mask'] = np.ones((height, width), np.uint8)
            results.setdefault('seg_fields', []).append('valid_pseudo_mask')
        right, below = (max(0, wanted - size) for wanted, size in zip(self.scale, (width, height), strict=True))
        if right or below:
            for key in ('img', *results.get('seg_fields', [])):
                value = IGNORE_INDEX if key.startswith('gt_seg_map') else 0
                results[key] = cv2.copyMakeBorder(results[key], 0, below, 0, right, cv2.BORDER_CONSTANT, value=value)
            results['img_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class ClipCrop(RareClassCrop):
    """``RareClassCrop`` for clips: drawn by the labels of frame 0, applied to all frames, labels and flows. Motion may
    lead out of the crop, as it may lead out of an image. Arguments and errors as there."""

    def transform(self, results: dict) -> dict:
        box = self.crop_bbox(results)
        return _apply_to_all(results, lambda array: self.crop(array, box), type(self).__name__)


@TRANSFORMS.register_module()
class ClipFlip(RandomFlip):
    """mmseg's ``RandomFlip`` for clips; a flipped axis reverses the motion along it. Arguments as there."""

    def _flip(self, results: dict) -> None:
        super()._flip(results)
        direction = results['flip_direction']
        axes = dict(horizontal=(-1, 1), vertical=(1, -1), diagonal=(-1, -1))
        sign = np.array(axes[direction], np.float32)
        apply_to_others(
            results, lambda frame: mmcv.imflip(frame, direction), lambda flow: mmcv.imflip(flow, direction) * sign
        )
        results['moved_by'] = type(self).__name__


@TRANSFORMS.register_module()
class CutBottomRows(BaseTransform):
    """Cut rows off the bottom of an image or a clip, with labels and flow: so many ``rows`` of ``height``, scaled with
    the current height, rounded down. Labels and predictions then have the size of the rest."""

    def __init__(self, rows: int, height: int) -> None:
        super().__init__()
        if not 0 <= rows < height:
            raise ValueError(f'CutBottomRows: rows must be in 0..height - 1, got rows={rows} and height={height}')
        self.rows, self.height = rows, height

    def transform(self, results: dict) -> dict:
        current = results['img'].shape[0]
        rest = current - current * self.rows // self.height
        return _apply_to_all(results, lambda array: array[:rest], type(self).__name__)
