"""Bring images to the size that the network was tested at, and clips with the flow between their frames.

Shapes: H, W pixels of the input, h, w those of the network's input, T frames (0 is the one to segment).
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from mmseg.registry import TRANSFORMS

from udass.datasets.transforms import ClipResize, ResizeToCover

# The transforms of clips take the flow along.
_RESIZES = {'Resize': 'ClipResize', 'ClipResize': 'ClipResize', 'ResizeToCover': 'ResizeToCover'}
# Reading, labels and packing, which inference does in its own way.
_OTHERS = {'LoadImage', 'LoadImageFromFile', 'LoadLabels', 'LoadAnnotations', 'LoadClip', 'LoadClipLabels', 'LoadFlow'}
_OTHERS |= {'PackUDAInputs', 'PackSegInputs', 'PackClip'}
Estimator = Callable[[np.ndarray, np.ndarray], np.ndarray]


class InputScaling:
    """Brings images to the size that a test pipeline gives them.

    Args:
        pipeline: configs of its transforms; ValueError if the effect of one on the prediction cannot be undone here.
        native: leave images at their own size, whatever the pipeline does.
    """

    def __init__(self, pipeline: Sequence[Mapping], native: bool = False) -> None:
        self.native = native
        names = [transform['type'] for transform in pipeline]
        unknown = [name for name in names if name not in _RESIZES and name not in _OTHERS]
        if unknown and not native:
            raise ValueError(
                f'the test pipeline of the config holds {", ".join(unknown)}: only resizes can be undone after the '
                'prediction. Use images at their own size (native, --native), or give a config whose test pipeline '
                'has only resizes'
            )
        self.resizes: list[ClipResize] = [
            TRANSFORMS.build({**transform, 'type': _RESIZES[transform['type']]})
            for transform in pipeline
            if transform['type'] in _RESIZES
        ]
        # As in the config: flow of the files, resized, or flow of the resized frames.
        before = names[: names.index('LoadFlow')] if 'LoadFlow' in names else names
        self.flow_after = sum(name in _RESIZES for name in before)

    def __call__(
        self, frames: Sequence[np.ndarray], estimator: Estimator | None = None
    ) -> tuple[list[np.ndarray], np.ndarray | None]:
        """Frames (h, w, 3) uint8 BGR as the network gets them, and the flow (h, w, 2) float32 from frame 0 to frame 1
        in pixels (dx, dy), None without estimator. A frame that stands for the one before it has no motion.

        Args:
            frames: (H, W, 3) uint8 BGR of one size, the one to segment first.
            estimator: of flow between two frames (H, W, 3) uint8 RGB; None computes none.
        """
        size = frames[0].shape[:2]
        still = len(frames) > 1 and frames[1] is frames[0]
        results = dict(img=frames[0], img_shape=size, ori_shape=size, other_frames=list(frames[1:]))
        resizes = [] if self.native else self.resizes
        for number in range(len(resizes) + 1):
            if estimator is not None and number == min(self.flow_after, len(resizes)):
                results['flows'] = {(0, 1): _flow(results['img'], results['other_frames'][0], estimator, still)}
            if number < len(resizes):
                results = resizes[number](results)
        return [results['img'], *results['other_frames']], results.get('flows', {}).get((0, 1))

    def describe(self) -> str:
        """One sentence on what happens to the size of images."""
        if not self.resizes:
            return 'Images are segmented at their own size: the test pipeline of the config has no resize'
        steps = ', then '.join(_target(resize) for resize in self.resizes)
        if self.native:
            own = 'Images are segmented at their own size (native)'
            return f'{own}; the network was tested with images resized to {steps}'
        return f'Images are resized to {steps}, as the network was tested, and the results back (--native: neither)'


def size_steps(pipeline: Sequence[Mapping]) -> list[dict]:
    """The transforms of a test pipeline on which the network's input depends: resizes, and where flow is read."""
    return [
        dict(transform) if transform['type'] in _RESIZES else dict(type='LoadFlow')
        for transform in pipeline
        if transform['type'] in _RESIZES or transform['type'] == 'LoadFlow'
    ]


def _flow(current: np.ndarray, previous: np.ndarray, estimator: Estimator, still: bool) -> np.ndarray:
    if still:
        return np.zeros((*current.shape[:2], 2), np.float32)
    first, second = (np.ascontiguousarray(frame[..., ::-1]) for frame in (current, previous))
    return np.asarray(estimator(first, second), dtype=np.float32)


def _target(resize: ClipResize) -> str:
    if resize.scale is None:
        return f'{resize.scale_factor} times their size'
    size = 'x'.join(map(str, resize.scale))
    if isinstance(resize, ResizeToCover):
        return f'cover {size} at their aspect ratio'
    return f'fit {size} at their aspect ratio' if resize.keep_ratio else f'{size}, whatever their aspect ratio'
