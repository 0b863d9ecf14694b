"""Resizing, cutting and flipping clips: the same for all frames and labels, and for the flow what it does to motion.

Keys and flow convention as in ``clip_loading``. If a transform moves a point at p to G(p), a flow f becomes
G(p + f) - G(p) at G(p): crops leave the vectors as they are, a horizontal flip negates dx, a resize multiplies dx by
the ratio of the widths and dy by that of the heights.
"""

from collections.abc import Callable, Sequence

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.datasets.transforms import RandomFlip, Resize
from mmseg.registry import TRANSFORMS

from udass.datasets.transforms.cropping import RareClassCrop

Change = Callable[[np.ndarray], np.ndarray]


def change_others(results: dict, frame: Change, flow: Change) -> None:
    """Apply ``frame`` to the frames beside frame 0 and ``flow`` to all flows; an array that occurs twice is changed
    once (with k = 1, frame t - 1 is also t - k)."""

    def apply(function: Change, values: Sequence[np.ndarray]) -> list[np.ndarray]:
        changed: dict[int, np.ndarray] = {}
        for value in values:
            if id(value) not in changed:
                changed[id(value)] = function(value)
        return [changed[id(value)] for value in values]

    if 'other_frames' in results:
        results['other_frames'] = apply(frame, results['other_frames'])
    if 'flows' in results:
        flows = results['flows']
        results['flows'] = dict(zip(flows, apply(flow, list(flows.values())), strict=True))


def resize_flow_map(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Flow (h, w, 2) in pixels -> (H, W, 2) in pixels of ``size`` (H, W), sampled where OpenCV samples the frames."""
    height, width = flow.shape[:2]
    if (height, width) == tuple(size):
        return flow
    ratio = np.array([size[1] / width, size[0] / height], np.float32)
    return cv2.resize(flow, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) * ratio


@TRANSFORMS.register_module()
class ClipResize(Resize):
    """mmseg's ``Resize`` for clips; arguments and errors as there. Also for
    ``dict(type='RandomResize', resize_type='ClipResize', ...)``.
    """

    def transform(self, results: dict) -> dict:
        """Resize frames, labels and flow."""
        results = super().transform(results)
        size = results['img_shape']
        change_others(
            results,
            lambda frame: mmcv.imresize(frame, size[::-1], interpolation=self.interpolation, backend=self.backend),
            lambda flow: resize_flow_map(flow, size),
        )
        return results


@TRANSFORMS.register_module()
class ClipCrop(RareClassCrop):
    """``RareClassCrop`` for clips: the labels of frame 0 choose the place, all frames, labels and flows are cropped
    there. Motion may lead out of the crop, as it may lead out of a picture. Arguments and errors as there.
    """

    def transform(self, results: dict) -> dict:
        """Crop frames, labels and flow."""
        box = self.crop_bbox(results)
        results['img'] = self.crop(results['img'], box)
        for key in results.get('seg_fields', []):
            results[key] = self.crop(results[key], box)
        change_others(results, lambda frame: self.crop(frame, box), lambda flow: self.crop(flow, box))
        results['img_shape'] = results['img'].shape[:2]
        results['moved_by'] = type(self).__name__
        return results


@TRANSFORMS.register_module()
class ClipFlip(RandomFlip):
    """mmseg's ``RandomFlip`` for clips; a flipped axis reverses the motion along it. Arguments as there."""

    def _flip(self, results: dict) -> None:
        """Flip frames, labels and flow in the drawn direction."""
        super()._flip(results)
        direction = results['flip_direction']
        sign = np.array(
            [-1 if direction in ('horizontal', 'diagonal') else 1, -1 if direction in ('vertical', 'diagonal') else 1],
            np.float32,
        )
        change_others(
            results, lambda frame: mmcv.imflip(frame, direction), lambda flow: mmcv.imflip(flow, direction) * sign
        )
        results['moved_by'] = type(self).__name__


@TRANSFORMS.register_module()
class CutBottomRows(BaseTransform):
    """Cut rows off the bottom of an image or a clip, with labels and flow.

    Args:
        rows: how many, of an image of ``height`` rows; scaled with the current height, rounded down.
        height: see ``rows``.

    Raises:
        ValueError: ``rows`` is not in 0..height - 1.
    """

    def __init__(self, rows: int, height: int) -> None:
        super().__init__()
        if not 0 <= rows < height:
            raise ValueError(f'CutBottomRows: rows is 0 to height - 1, got rows={rows} and height={height}')
        self.rows, self.height = rows, height

    def transform(self, results: dict) -> dict:
        """Cut everything."""
        current = results['img'].shape[0]
        kept = current - current * self.rows // self.height
        results['img'] = results['img'][:kept]
        for key in results.get('seg_fields', []):
            results[key] = results[key][:kept]
        change_others(results, lambda frame: frame[:kept], lambda flow: flow[:kept])
        # What is left is the picture now: labels and predictions have its size.
        results['img_shape'] = results['img'].shape[:2]
        results['moved_by'] = type(self).__name__
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(rows={self.rows}, height={self.height})'
