"""Predictions over the pictures they are of, as pictures and as video. Drawing only."""
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from udass.visualization.canvas import legend, overlay_labels, scaled, stack

# A legend needs room: smaller pictures are enlarged by a whole number.
_MIN_WIDTH = 640
# Of the side-by-side video; larger frames are scaled down.
_MAX_VIDEO_WIDTH = 1920
# Of the width; from the first size on a legend is readable.
_MIN_TEXT, _TEXT_SHARE = 14, 80


def draw_overlay(image: np.ndarray, ids: np.ndarray, classes: Sequence[str],
                 palette: Sequence[Sequence[int]]) -> np.ndarray:
    """Class colours over an image, above a legend.

    Args:
        image: RGB (H, W, 3) uint8.
        ids: class ids (H, W).
        classes: names by id.
        palette: RGB colours by id.

    Returns:
        RGB picture, uint8, at the size of the image or, if that is narrow, a whole multiple of it; and the legend.
    """
    factor = max(1, -(-_MIN_WIDTH // image.shape[1]))
    height, width = (side * factor for side in image.shape[:2])
    overlay = overlay_labels(scaled(image, height, width), scaled(ids, height, width), palette)
    return stack([overlay, legend(classes, palette, width, _text_size(width), ignored=False)])


class SideBySide:
    """Frames of a video: the picture, and the classes over it, above a legend that stays.

    Args:
        size: (H, W) of the pictures.
        classes: names by id.
        palette: RGB colours by id.
    """

    def __init__(self, size: tuple[int, int], classes: Sequence[str], palette: Sequence[Sequence[int]]) -> None:
        height, width = size
        factor = max(1, -(-_MIN_WIDTH // width))
        factor = min(factor, _MAX_VIDEO_WIDTH / 2 / width)
        # Video codecs take even sizes only.
        self.tile = round(height * factor / 2) * 2, round(width * factor / 2) * 2
        self.palette = palette
        self.legend = legend(classes, palette, 2 * self.tile[1], _text_size(self.tile[1]), ignored=False)
        if self.legend.shape[0] % 2:
            self.legend = np.pad(self.legend, ((0, 1), (0, 0), (0, 0)), constant_values=255)

    def __call__(self, image: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """RGB frame, uint8, of an image (H, W, 3) and its class ids (H, W)."""
        overlay = overlay_labels(image, ids, self.palette)
        return np.concatenate([np.concatenate([scaled(part, *self.tile) for part in (image, overlay)], axis=1),
                               self.legend])


class VideoFile:
    """An MP4 file that is written frame by frame; it gets its name when it is complete.

    Used as a context: an error inside it removes what was written.

    Args:
        path: file to write, ``*.mp4``; its folder is made.
        rate: frames per second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._temporary = path.with_name(f'.{path.stem}.part{path.suffix}')
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: np.ndarray) -> None:
        """Append an RGB frame; all have one size, with even sides.

        Raises:
            OSError: the file cannot be written.
        """
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # The one codec of MP4 that every build of OpenCV can write.
            self._writer = cv2.VideoWriter(str(self._temporary), cv2.VideoWriter_fourcc(*'mp4v'), self.rate,
                                           frame.shape[1::-1])
            if not self._writer.isOpened():
                raise OSError(f'cannot write the video {self.path}: the folder is read-only, or OpenCV has no encoder '
                              'for MP4 (a build without ffmpeg)')
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        if self._writer is None:
            return
        self._writer.release()
        if kind is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)


def _text_size(width: int) -> int:
    return max(_MIN_TEXT, width // _TEXT_SHARE)
