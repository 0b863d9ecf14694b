"""Find the images, videos and streams that a user names."""

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from udass.datasets.base.folders import FrameFolder
from udass.io.images import IMAGE_SUFFIXES
from udass.io.video import VIDEO_SUFFIXES, count_video_frames, frame_path, open_capture
from udass.io.zip_files import files_below

# Of videos whose file has none.
DEFAULT_RATE = 25.0


@dataclass(frozen=True)
class Frame:
    """One image to segment.

    Attributes:
        path: for `Segmenter`: a file, or a frame of a video file.
        name: of its results, relative, without suffix.
        previous: the frame before it in the video; itself for the first one; None for a single image.
    """

    path: str
    name: str
    previous: str | None = None


@dataclass(frozen=True)
class Video:
    """Frames in order.

    Attributes:
        name: None for single images.
        frames: empty for a stream, whose frames are not known before they come.
        rate: frames per second.
        stream: number of a camera, or address of a stream; None for files.
    """

    name: str | None
    frames: tuple[Frame, ...]
    rate: float = DEFAULT_RATE
    stream: int | str | None = None


class Stream:
    """The frames of a camera (its number) or network stream (an address such as ``rtsp://host/name``) as they come, (H,
    W, 3) uint8 RGB, ``rate`` per second; a context. OSError if nothing comes from there."""

    def __init__(self, source: int | str) -> None:
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            if isinstance(source, int):
                raise OSError(f'camera {source} cannot be opened: there is none of this number, or it is in use')
            raise OSError(
                f'nothing can be read from {stream_name(source)}: the address is wrong, or OpenCV does not know this '
                'kind of stream'
            )
        self.rate = _rate(self._capture)

    def __iter__(self) -> Iterator[np.ndarray]:
        while (frame := self._capture.read()[1]) is not None:
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def __enter__(self) -> 'Stream':
        return self

    def __exit__(self, *error: object) -> None:
        self._capture.release()


def find_inputs(inputs: Iterable[str | Path], numbered: bool | None = False, rate: float | None = None) -> list[Video]:
    """All single images, as one video without name that comes first, and the videos.

    Args:
        inputs: images, video files, folders (with those below), patterns as of a shell (``**`` is any folders),
            numbers of cameras, and addresses of streams (``scheme://...``).
        numbered: whether folders hold numbered frames of videos. False: images and video files. None: frames if every
            name in the folder has a number.
        rate: frames per second of numbered frames; None is `DEFAULT_RATE`.

    Raises:
        FileNotFoundError: an input does not exist, or holds nothing to segment.
        ValueError: a file is neither image nor video, a name has no number, or two results would have one name.
    """
    videos = check_inputs(inputs, numbered, rate)
    results = [(frame.name, frame.path) for video in videos for frame in video.frames]
    results += [(f'{video.name}.mp4', video.frames[0].path) for video in videos if video.name and video.frames]
    results += [(f'{video.name}.mp4', str(video.stream)) for video in videos if not video.frames]
    named: dict[str, str] = {}
    for name, path in results:
        other = named.setdefault(name, path)
        if other != path:
            raise ValueError(
                f'the results of {other} and {path} would both be named {name}: give them in two calls with different '
                'output folders'
            )
    return videos


def check_inputs(inputs: Iterable[str | Path], numbered: bool | None = False, rate: float | None = None) -> list[Video]:
    """The same as `find_inputs` before it is known how the network takes folders, on which names of results depend."""
    images: list[Frame] = []
    videos: list[Video] = []
    for given in map(str, inputs):
        source = _stream_source(given)
        if source is not None:
            videos.append(Video(stream_name(source), (), stream=source))
            continue
        for path in _paths(given):
            if path.is_dir():
                more_images, more_videos = _folder(path, numbered, rate or DEFAULT_RATE)
                images += more_images
                videos += more_videos
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                videos.append(_video(path))
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                images.append(Frame(str(path), path.stem))
            else:
                kinds = f'an image ({", ".join(IMAGE_SUFFIXES)}) nor a video ({", ".join(VIDEO_SUFFIXES)})'
                raise ValueError(f'{path} is neither {kinds}')
    return [Video(None, tuple(images))] * bool(images) + videos


def _stream_source(given: str) -> int | str | None:
    """The camera or the stream that an input stands for; None for files."""
    if given.isdecimal() and not Path(given).exists():
        return int(given)
    return given if re.match(r'[a-z][a-z0-9+.-]+://', given, re.IGNORECASE) else None


def stream_name(source: int | str) -> str:
    """Name of the results of a stream: without user, password and what no file can be named."""
    if isinstance(source, int):
        return f'camera_{source}'
    parts = urlsplit(source)
    name = f'{parts.hostname or ""}{os.path.splitext(parts.path)[0]}'
    return re.sub(r'[^\w.-]+', '_', name).strip('_.') or 'stream'


def _paths(given: str) -> list[Path]:
    """The paths that an input stands for; an existing one stands for itself, whatever characters it has."""
    path = Path(given).expanduser()
    if path.exists():
        return [path]
    if not glob.has_magic(given):
        raise FileNotFoundError(f'input {given} does not exist')
    found = [Path(one) for one in sorted(glob.glob(str(path), recursive=True))]
    if not found:
        raise FileNotFoundError(f'no file matches {given}')
    # A pattern is about files; folders that it meets would be gone through twice.
    return [one for one in found if one.is_file()] or found


def _folder(folder: Path, numbered: bool | None, rate: float) -> tuple[list[Frame], list[Video]]:
    """The single images and the videos of a folder."""
    files = sorted(folder / name for name in files_below(str(folder)))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    if not images and not videos:
        found = f'{len(files)} files, for example {files[0].name}' if files else 'no files'
        raise FileNotFoundError(f'folder {folder} holds no image ({", ".join(IMAGE_SUFFIXES)}) and no video: {found}')
    if numbered is None:
        numbered = all(any(map(str.isdigit, path.stem)) for path in images)
    if numbered and images:
        return [], [*_sequences(folder, rate), *map(_video, videos)]
    names = [path.relative_to(folder) for path in images]
    counts = Counter(name.with_suffix('') for name in names)
    # a.jpg beside a.png: only the whole name tells them apart.
    names = [name if counts[name.with_suffix('')] > 1 else name.with_suffix('') for name in names]
    frames = [Frame(str(path), name.as_posix()) for path, name in zip(images, names, strict=True)]
    return frames, [*map(_video, videos)]


def _sequences(folder: Path, rate: float) -> Iterator[Video]:
    """The videos whose numbered frames are below a folder."""
    dataset = FrameFolder(data_root=str(folder), metainfo=dict(classes=('any',), palette=[[0, 0, 0]]), test_mode=True)
    for names in dataset.sequences():
        # The folder, and what tells this sequence from others: its subfolder, and its names without number.
        rest = re.sub(r'[_\-. ]*\d+(?=\D*$)', '', Path(names[0]).stem).strip('_-. ')
        below = Path(names[0]).parent.as_posix()
        name = '/'.join(part for part in (folder.resolve().name, '' if below == '.' else below, rest) if part)
        paths = [dataset.image_path(frame) for frame in names]
        yield Video(name, _frames(paths, [f'{name}/{Path(path).stem}' for path in paths]), rate)


def _video(path: Path) -> Video:
    count = count_video_frames(str(path))
    if count == 0:
        raise ValueError(f'{path} has no frame that can be decoded: copy or convert it again')
    paths = [frame_path(str(path), number) for number in range(count)]
    frames = _frames(paths, [f'{path.stem}/{number:06d}' for number in range(count)])
    capture = open_capture(str(path))
    rate = _rate(capture)
    capture.release()
    return Video(path.stem, frames, rate)


def _frames(paths: Sequence[str], names: Sequence[str]) -> tuple[Frame, ...]:
    return tuple(map(Frame, paths, names, [paths[0], *paths[:-1]]))


def _rate(capture: cv2.VideoCapture) -> float:
    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate < 1000 else DEFAULT_RATE
