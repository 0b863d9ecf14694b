"""Predictions over the pictures they are of, as pictures and as video. Drawing only."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import numpy as np

from udass.io.writing import remove_orphans, temporary_path
from udass.visualization.canvas import legend, overlay_labels, scaled, stack

# A legend needs room: smaller pictures are enlarged by a whole number.
_MIN_WIDTH = 640
# Of the width; from the first size on a legend is readable.
_MIN_TEXT, _TEXT_SHARE = 14, 80


def draw_overlay(
    image: np.ndarray, ids: np.ndarray, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> np.ndarray:
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


def draw_legend(classes: Sequence[str], palette: Sequence[Sequence[int]], width: int = _MIN_WIDTH) -> np.ndarray:
    """Names and colours of the classes as an RGB picture (h, width, 3) uint8, for videos, which have no room for it."""
    return legend(classes, palette, width, _text_size(width), ignored=False)


class VideoFile:
    """An MP4 file of H.264, which browsers play, written frame by frame; it gets its name when it is complete.

    Used as a context: an error inside it removes what was written.

    Args:
        path: file to write, ``*.mp4``; its folder is made.
        rate: frames per second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._temporary: Path | None = None

    def add(self, frame: np.ndarray) -> None:
        """Append an RGB frame (H, W, 3) uint8. H.264 takes even sides: of odd ones the last line is shown twice.

        Raises:
            OSError: the file cannot be written.
            ValueError: the frame has another size than the ones before.
        """
        frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode='edge')
        if self._temporary is None:
            self._open(*frame.shape[:2])
        if frame.shape[:2] != (self._stream.height, self._stream.width):
            raise ValueError(
                f'a frame of {frame.shape[1]}x{frame.shape[0]} pixels does not fit into {self.path}, '
                f'which has {self._stream.width}x{self._stream.height} (width x height)'
            )
        self._write(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24'))

    def _open(self, height: int, width: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        remove_orphans(self.path.parent, os.getpid())
        self._temporary = temporary_path(self.path.parent)
        try:
            # The index goes to the start of the file, so that a browser plays it while it is loaded.
            self._file = av.open(str(self._temporary), 'w', format='mp4', options={'movflags': '+faststart'})
            self._stream = self._file.add_stream('h264', rate=Fraction(self.rate).limit_denominator(1001))
        except (av.FFmpegError, ValueError) as error:
            raise OSError(f'cannot write the video {self.path}: {error}') from error
        # Four colour samples per eight pixels: what browsers decode.
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, 'yuv420p'

    def _write(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or with None what the encoder still holds."""
        try:
            self._file.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise OSError(f'cannot write the video {self.path}: {error}') from error

    def __enter__(self) -> 'VideoFile':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._temporary is None:
            return
        try:
            if kind is None:
                self._write(None)
            self._file.close()
            if kind is None:
                self._temporary.replace(self.path)
        except av.FFmpegError as failure:
            raise OSError(f'cannot write the video {self.path}: {failure}') from failure
        finally:
            self._temporary.unlink(missing_ok=True)


def _text_size(width: int) -> int:
    return max(_MIN_TEXT, width // _TEXT_SHARE)
