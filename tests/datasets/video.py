"""What the tests of clips share: the exact flow of the streets, and a video file."""

from pathlib import Path

import cv2
import numpy as np
from mmseg.registry import MODELS

from udass.flow import read_flow


@MODELS.register_module(force=True)
class StreetsFlowFiles:
    """Called as LoadFlow calls a cache; reads what the generator wrote beside the frames."""

    def __call__(self, current: str, other: str, size: tuple[int, int]) -> np.ndarray:
        path = Path(current).parents[1] / 'flow' / f'{Path(current).stem}_{Path(other).stem}.png'
        return read_flow(path)[0]


@MODELS.register_module(force=True)
class MeanDifference:
    """An estimator whose flow is (mean red of the first frame, mean red of the second frame) everywhere."""

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        assert first.flags.c_contiguous and first.dtype == np.uint8
        return np.full((*first.shape[:2], 2), (first[..., 0].mean(), second[..., 0].mean()))


def write_video(path: Path, frames: int = 40, size=(64, 48)) -> Path:
    """A video whose frame number n is grey of value 5 n + 20 everywhere."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 10, size)
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 5 * number + 20, np.uint8))
    writer.release()
    return path
