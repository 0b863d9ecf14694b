"""What a user names as input: pictures, folders, patterns, video files, folders of numbered frames, live streams."""

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

from udass.datasets.video_folder import FrameFolder
from udass.io.images import IMAGE_SUFFIXES
from udass.io.video import VIDEO_SUFFIXES, count_video_frames, frame_path, open_capture
from udass.io.zip_files import files_below

# Of videos that do not say it.
DEFAULT_RATE = 25.0


@dataclass(frozen=True)
class Frame:
    """One picture to segment.

    Attributes:
        path: what `Segmenter` reads: a file, or a frame of a video file.
        name: of its results, relative, without suffix.
        previous: the frame before it in the video; itself for the first one; None for a single picture.
    """

    path: str
    name: str
    previous: str | None = None


@dataclass(frozen=True)
class Recording:
    """Pictures in order.

    Attributes:
        name: of the video; None for single pictures.
        frames: the pictures; none of a stream, whose frames are not known before they come.
        rate: frames per second of the video.
        stream: number of a camera, or address of a stream; None for files.
    """

    name: str | None
    frames: tuple[Frame, ...]
    rate: float = DEFAULT_RATE
    stream: int | str | None = None


class Stream:
    """The frames of a camera or of a network stream as they come, (H, W, 3) uint8 RGB; a context.

    Args:
        source: number of a camera, or an address such as ``rtsp://host/name``.

    Attributes:
        rate: frames per second.

    Raises:
        OSError: there is no such camera, or nothing comes from the address.
    """

    def __init__(self, source: int | str) -> None:
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise OSError(
                f'camera {source} cannot be opened: there is none of this number, or it is in use'
                if isinstance(source, int)
                else f'nothing can be read from {stream_name(source)}: the '
                'address is wrong, or OpenCV does not know this kind of stream'
            )
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else DEFAULT_RATE

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            found, frame = self._capture.read()
            if not found:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def __enter__(self) -> 'Stream':
        return self

    def __exit__(self, *error: object) -> None:
        self._capture.release()


def find_inputs(
    inputs: Iterable[str | Path], numbered: bool | None = False, rate: float | None = None
) -> list[Recording]:
    """All pictures, as one recording without name that comes first, and the videos.

    Args:
        inputs: pictures, video files, folders (with those below), patterns as of a shell (``**`` is any folders),
            numbers of cameras, and addresses of streams (``scheme://...``).
        numbered: whether folders hold numbered frames of videos. False: pictures and video files. None: frames if every
            name in the folder has a number.
        rate: frames per second of numbered frames; None is `DEFAULT_RATE`.

    Raises:
        FileNotFoundError: an input does not exist, or holds nothing to segment.
        ValueError: a file is neither picture nor video, a name has no number, or two results would have one name.
    """
    recordings = _collect(inputs, numbered, rate)
    _check_names(recordings)
    return recordings


def check_inputs(inputs: Iterable[str | Path], numbered: bool = False) -> None:
    """Whether inputs exist and hold something to segment, before it is known how the network takes folders.

    The names of the results depend on that, and are not compared.

    Raises:
        FileNotFoundError: an input does not exist, or holds nothing to segment.
        ValueError: a file is neither picture nor video, or a name has no number.
    """
    _collect(inputs, numbered, None)


def _collect(inputs: Iterable[str | Path], numbered: bool | None, rate: float | None) -> list[Recording]:
    pictures: list[Frame] = []
    videos: list[Recording] = []
    for given in inputs:
        source = stream_source(str(given))
        if source is not None:
            videos.append(Recording(stream_name(source), (), stream=source))
            continue
        for path in _paths(str(given)):
            if path.is_dir():
                _add_folder(path, numbered, rate, pictures, videos)
            elif path.suffix.lower() in VIDEO_SUFFIXES:
                videos.append(_video(path))
            elif path.suffix.lower() in IMAGE_SUFFIXES:
                pictures.append(Frame(str(path), path.stem))
            else:
                kinds = f'an image ({", ".join(IMAGE_SUFFIXES)}) nor a video ({", ".join(VIDEO_SUFFIXES)})'
                raise ValueError(f'{path} is neither {kinds}')
    return [Recording(None, tuple(pictures))] * bool(pictures) + videos


def stream_source(given: str) -> int | str | None:
    """The camera or the stream that an input stands for; None for files."""
    if given.isdecimal() and not Path(given).exists():
        return int(given)
    return given if re.match(r'[a-z][a-z0-9+.-]+://', given, re.IGNORECASE) else None


def stream_name(source: int | str) -> str:
    """For the results of a stream: without user, password and what no file can be named."""
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
    found = sorted(glob.glob(str(path), recursive=True))
    # A pattern is about files; folders that it meets would be gone through twice.
    files = [Path(one) for one in found if Path(one).is_file()]
    if not files and not found:
        raise FileNotFoundError(f'no file matches {given}')
    return files or [Path(one) for one in found]


def _add_folder(
    folder: Path, numbered: bool | None, rate: float | None, pictures: list[Frame], videos: list[Recording]
) -> None:
    files = sorted(folder / name for name in files_below(str(folder)))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    films = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    if not images and not films:
        found = f'{len(files)} files, for example {files[0].name}' if files else 'no files'
        raise FileNotFoundError(f'folder {folder} holds no picture ({", ".join(IMAGE_SUFFIXES)}) and no video: {found}')
    if numbered is None:
        numbered = bool(images) and all(any(map(str.isdigit, path.stem)) for path in images)
    if numbered and images:
        videos += _sequences(folder, rate or DEFAULT_RATE)
    else:
        names = [path.relative_to(folder).with_suffix('').as_posix() for path in images]
        counts = Counter(names)
        # a.jpg beside a.png: only the whole name tells them apart.
        pictures += [
            Frame(str(path), name if counts[name] == 1 else path.relative_to(folder).as_posix())
            for path, name in zip(images, names, strict=True)
        ]
    videos += [_video(path) for path in films]


def _sequences(folder: Path, rate: float) -> list[Recording]:
    """The videos whose numbered frames are below a folder."""
    dataset = FrameFolder(data_root=str(folder), metainfo=dict(classes=('any',), palette=[[0, 0, 0]]), test_mode=True)
    recordings = []
    for names in dataset.sequences():
        name = _sequence_name(folder, names)
        paths = [dataset.image_path(frame) for frame in names]
        frames = [
            Frame(path, f'{name}/{Path(path).stem}', previous)
            for path, previous in zip(paths, [paths[0], *paths[:-1]], strict=True)
        ]
        recordings.append(Recording(name, tuple(frames), rate))
    return recordings


def _sequence_name(folder: Path, names: Sequence[str]) -> str:
    """The folder's name, with what tells this sequence from others: its subfolder, and its names without number."""
    rest = re.sub(r'[_\-. ]*\d+(?=\D*$)', '', Path(names[0]).stem).strip('_-. ')
    below = Path(names[0]).parent.as_posix()
    parts = [folder.resolve().name, below if below != '.' else '', rest]
    return '/'.join(part for part in parts if part)


def _video(path: Path) -> Recording:
    count = count_video_frames(str(path))
    if count == 0:
        raise ValueError(f'{path} has no frame that can be decoded: it is damaged, or no video')
    paths = [frame_path(str(path), number) for number in range(count)]
    frames = [
        Frame(one, f'{path.stem}/{number:06d}', previous)
        for number, (one, previous) in enumerate(zip(paths, [paths[0], *paths[:-1]], strict=True))
    ]
    capture = open_capture(str(path))
    rate = capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    return Recording(path.stem, tuple(frames), rate if 0 < rate < 1000 else DEFAULT_RATE)


def _check_names(recordings: Sequence[Recording]) -> None:
    named: dict[str, str] = {}
    results = [(frame.name, frame.path) for recording in recordings for frame in recording.frames]
    results += [
        (f'{recording.name}.mp4', recording.frames[0].path if recording.frames else str(recording.stream))
        for recording in recordings
        if recording.name
    ]
    for name, path in results:
        other = named.setdefault(name, path)
        if other != path:
            raise ValueError(
                f'the results of {other} and {path} would both be named {name}: give them in two calls '
                'with different output folders'
            )
