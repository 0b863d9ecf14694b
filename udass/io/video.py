"""Read single frames of video files by their number.

A frame is named like a file: ``<video file>#<number, 6 digits>``, counted from 0; see ``frame_path``.
"""

import os
import re
import threading
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from udass.errors import DamagedFileError

VIDEO_SUFFIXES = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')
_FRAME = re.compile(rf'(.+(?:{"|".join(map(re.escape, VIDEO_SUFFIXES))}))#(\d+)', re.IGNORECASE)
# Decoding on is faster than a jump, which decodes from the last key frame (typically 12 to 250 frames back).
_DECODE_AHEAD = 32


def frame_path(video: str, number: int) -> str:
    """Name of a frame of a video file, which ``read_image`` and ``LoadClip`` take in the place of an image file."""
    return f'{video}#{number:06d}'


def split_frame_path(path: str) -> tuple[str, int] | None:
    """Video file and number of a name of ``frame_path``; None for any other path."""
    match = _FRAME.fullmatch(str(path))
    return None if match is None else (match[1], int(match[2]))


def open_capture(path: str) -> cv2.VideoCapture:
    """OpenCV's reader of a video file. The caller checks whether it is open."""
    try:
        path.encode()
    except UnicodeEncodeError:
        # OpenCV takes names in UTF-8 only (and crashes on others): name the open file instead.
        with open(path, 'rb') as file:
            return cv2.VideoCapture(f'/dev/fd/{file.fileno()}')
    return cv2.VideoCapture(path)


def read_video_frame(path: str, number: int) -> np.ndarray:
    """Decode one frame as (H, W, 3) uint8 BGR, upright if the file has an orientation; FileNotFoundError if there is no
    such file, DamagedFileError if it lacks this frame, ValueError if it is no video."""
    frame = _open_video(path).read(number)
    if frame is None:
        raise DamagedFileError(
            f'frame {number} (counted from 0) of {path} cannot be decoded: the video is shorter or '
            'damaged there. Copy or convert it again'
        )
    return frame


def count_video_frames(path: str) -> int:
    """Number of frames that can be decoded. Errors as of ``read_video_frame``."""
    return _open_video(path).count()


def _open_video(path: str) -> '_Reader':
    if not Path(path).is_file():
        raise FileNotFoundError(f'the video {path} does not exist. Correct its path in the config')
    status = os.stat(path)
    return _reader(str(path), os.getpid(), (status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=4)
def _reader(path: str, process: int, stamp: tuple[int, int]) -> '_Reader':
    """The open file. A forked worker opens its own, as a decoder cannot be shared; a replaced file is opened anew."""
    return _Reader(path)


class _Reader:
    """An open video file and the number of the frame that it would decode next. Threads may share it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._open()

    def _open(self) -> None:
        self._capture, self._next = open_capture(self.path), 0
        if not self._capture.isOpened():
            raise ValueError(
                f'{self.path} cannot be opened as a video: it is damaged, or OpenCV lacks its codec. '
                'Convert it, e.g. with `ffmpeg -i <file> <file>.mp4`, or extract its frames to a folder'
            )

    def read(self, number: int) -> np.ndarray | None:
        """The frame (H, W, 3) uint8 BGR, None if it cannot be decoded."""
        with self._lock:
            self._go_to(number)
            found, frame = self._capture.read()
            # After a failure the position of the decoder is unknown: -1 makes the next call jump.
            self._next = number + 1 if found else -1
            return frame if found else None

    def _go_to(self, number: int) -> None:
        if not 0 <= self._next <= number <= self._next + _DECODE_AHEAD:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
            self._next = number
            if round(self._capture.get(cv2.CAP_PROP_POS_FRAMES)) != number:
                # The container has no usable index: decode from the start.
                self._capture.release()
                self._open()
        while self._next < number and self._capture.grab():
            self._next += 1

    def count(self) -> int:
        """Number of frames that can be decoded; the header's number is an estimate in some containers."""
        estimate = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if estimate > 0 and self.read(estimate - 1) is not None:
            return estimate
        with self._lock:
            self._capture.release()
            self._open()
            number = 0
            while self._capture.grab():
                number += 1
            self._next = -1
        return number
