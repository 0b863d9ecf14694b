"""Write H.264 videos."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from udass.io.writing import atomic_path


class VideoWriter:
    """Context that writes RGB frames to an MP4 file of H.264, which browsers play, at ``rate`` frames per second. The
    file gets its name when the context ends without an error; without a frame there is no file."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self._file: av.container.OutputContainer | None = None
        self._stack = ExitStack()

    def add(self, frame: np.ndarray) -> None:
        """Append a frame (H, W, 3) uint8 RGB; OSError if the file cannot be written, ValueError if the frame has
        another size than the ones before. H.264 takes even sides: the last line of an odd one is repeated."""
        frame = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode='edge')
        height, width = frame.shape[:2]
        if self._file is None:
            self._open(height, width)
        if (height, width) != (self._stream.height, self._stream.width):
            raise ValueError(
                f'a frame of {width}x{height} pixels does not fit into {self.path}, '
                f'which has {self._stream.width}x{self._stream.height} (width x height)'
            )
        self._encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format='rgb24'))

    def __enter__(self) -> 'VideoWriter':
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def _open(self, height: int, width: int) -> None:
        temporary = self._stack.enter_context(atomic_path(self.path))
        try:
            # The index goes to the start of the file, so that a browser plays it while it is loaded.
            self._file = av.open(str(temporary), 'w', format='mp4', options={'movflags': '+faststart'})
            self._stack.push(self._close)
            self._stream = self._file.add_stream('h264', rate=Fraction(self.rate).limit_denominator(1001))
        except (av.FFmpegError, ValueError) as error:
            raise self._error(error) from error
        # Browsers decode no other sampling of colours.
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, 'yuv420p'

    def _encode(self, frame: av.VideoFrame | None) -> None:
        """Encode a frame, or flush the encoder with None."""
        try:
            self._file.mux(self._stream.encode(frame))
        except av.FFmpegError as error:
            raise self._error(error) from error

    def _close(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self._encode(None)
            self._file.close()
        except av.FFmpegError as failure:
            raise self._error(failure) from failure

    def _error(self, error: Exception) -> OSError:
        return OSError(f'cannot write the video {self.path}: {error}')
