"""Segment images and video with a trained network: class ids, colour overlays, video with overlays."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from udass.cli import UsageError, short_message
from udass.flow import DISFlow, RAFTFlow
from udass.inference import Frame, Segmenter, Stream, Video, check_inputs, find_inputs
from udass.io.video_writer import VideoWriter
from udass.io.writing import write_image
from udass.visualization import draw_legend, draw_overlay, overlay_labels, save_image

# Of what could not be segmented, to be listed at the end.
_MAX_PROBLEMS = 20


def split_files(args: argparse.Namespace) -> tuple[list[str], list[str]]:
    """The files of the model (checkpoint, or config and checkpoint), and the inputs; UsageError if one of them is
    missing, or a number is not positive."""
    files = [args.config, *args.files] if args.config is not None else args.files
    count = 2 if args.config is not None or Path(files[0]).suffix.lower() in ('.py', '.json', '.yaml', '.yml') else 1
    if len(files) <= count:
        raise UsageError(f'give {"the checkpoint" if len(files) < count else "inputs"} after {files[-1]}')
    if args.batch_size < 1 or args.fps is not None and args.fps <= 0:
        raise UsageError(f'--batch-size and --fps must be positive, got {args.batch_size} and {args.fps}')
    return files[:count], files[count:]


class Results:
    """Writes predictions below a folder, in the colours of the network; with ``all_overlays`` frames of videos get an
    overlay each, too."""

    def __init__(self, folder: Path, segment: Segmenter, all_overlays: bool) -> None:
        self.folder, self.segment, self.all_overlays = folder, segment, all_overlays

    def write(self, name: str, image: np.ndarray, ids: np.ndarray, overlay: bool) -> None:
        """Write class ids (H, W) as a grey PNG and, if wanted, their colours over the image (H, W, 3) RGB."""
        write_image(self.folder / 'ids' / f'{name}.png', ids)
        if overlay:
            drawn = draw_overlay(image, ids, self.segment.classes, self.segment.palette)
            save_image(self.folder / 'overlays' / f'{name}.png', drawn)

    def write_frame(self, name: str, image: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Write the files of a frame of a video; returns the frame of the video with overlays."""
        self.write(name, image, ids, self.all_overlays)
        return overlay_labels(image, ids, self.segment.palette)

    def video(self, name: str, rate: float) -> VideoWriter:
        """A video, and beside it the legend that its frames have no room for."""
        save_image(self.folder / f'{name}.legend.png', draw_legend(self.segment.classes, self.segment.palette))
        return VideoWriter(self.folder / f'{name}.mp4', rate)


def segment_frames(
    segment: Segmenter, frames: Sequence[Frame], size: int, problems: list[str]
) -> Iterator[tuple[Frame, np.ndarray | None, np.ndarray | None]]:
    """Frames with their images (H, W, 3) RGB and class ids (H, W), ``size`` of them at a time.

    A frame that cannot be read or segmented comes without both, and ``problems`` gets the reason. For the one after it
    there is no motion.
    """
    with_previous = segment.uses_flow and frames[0].previous is not None
    images: dict[str, np.ndarray] = {}
    for start in range(0, len(frames), size):
        group = frames[start : start + size]
        # The last one read is the frame before the first of this group. Decoders of video go forward only.
        images = dict(list(images.items())[-1:])
        own = [frame.path for frame in group]
        needed = [path for frame in group for path in (frame.previous, frame.path)] if with_previous else own
        for path in [path for path in dict.fromkeys(needed) if path not in images]:
            try:
                images[path] = segment.read(path)
            except (OSError, ValueError) as error:
                if path in own:
                    problems.append(str(error))
        readable = [frame for frame in group if frame.path in images]
        ids = segment_group(segment, readable, images, with_previous, problems)
        for frame in group:
            yield frame, images[frame.path] if frame.path in ids else None, ids.get(frame.path)


def segment_group(
    segment: Segmenter,
    frames: Sequence[Frame],
    images: Mapping[str, np.ndarray],
    with_previous: bool,
    problems: list[str],
) -> dict[str, np.ndarray]:
    """Class ids by path of frames that go through the network together, one by one if that fails."""
    inputs, previous = [images[frame.path] for frame in frames], None
    if with_previous:
        previous = [images.get(frame.previous, image) for frame, image in zip(frames, inputs, strict=True)]
        # No motion where the frame before is missing or of another size.
        pairs = zip(previous, inputs, strict=True)
        previous = [before if before.shape == image.shape else image for before, image in pairs]
    try:
        return dict(zip([frame.path for frame in frames], segment.batch(inputs, previous), strict=True))
    # RuntimeError: of torch, for example for want of memory.
    except (ValueError, RuntimeError, cv2.error) as error:
        if len(frames) == 1:
            problems.append(f'{frames[0].path}: {short_message(error)}')
            return {}
    found = {}
    for frame in frames:
        found |= segment_group(segment, [frame], images, with_previous, problems)
    return found


def segment_files(
    segment: Segmenter, video: Video, results: Results, size: int, bar: tqdm, problems: list[str]
) -> None:
    """Single images, or the frames of a video file or folder. Frames of a video that fail repeat the one before them,
    so that the video keeps its time; at the start, the one after."""
    last, waiting = None, 0
    with nullcontext() if video.name is None else results.video(video.name, video.rate) as file:
        for frame, image, ids in segment_frames(segment, video.frames, size, problems):
            if ids is not None and video.name is None:
                results.write(frame.name, image, ids, overlay=True)
                bar.update()
            elif ids is not None and last is not None and image.shape != last.shape:
                problems.append(
                    f'{frame.path} is {image.shape[1]}x{image.shape[0]} pixels, the video '
                    f'{last.shape[1]}x{last.shape[0]} (width x height): left out'
                )
            elif ids is not None:
                last = results.write_frame(frame.name, image, ids)
                bar.update()
            waiting += 1
            while last is not None and waiting:
                file.add(last)
                waiting -= 1


def segment_stream(segment: Segmenter, video: Video, results: Results, bar: tqdm) -> None:
    """Until the stream ends, or Ctrl-C; both leave a whole video."""
    with Stream(video.stream) as stream, results.video(video.name, stream.rate) as file:
        previous = None
        try:
            for number, image in enumerate(stream):
                ids = segment(image, image if previous is None else previous)
                file.add(results.write_frame(f'{video.name}/{number:06d}', image, ids))
                previous = image
                bar.update()
        except KeyboardInterrupt:
            print(f'\n{video.name}: stopped')


def run(args: argparse.Namespace) -> None:
    """Segment all inputs; ends with status 1 if something could not be segmented."""
    model, inputs = split_files(args)
    # Wrong names are reported before a large network is read, which says whether folders are videos.
    check_inputs(inputs, args.frames or False)
    flow = DISFlow() if args.flow == 'dis' else RAFTFlow(args.flow.removeprefix('raft_'))
    options = dict(branch=args.branch, device=args.device, native=args.native, options=args.cfg_options)
    segment = Segmenter(*model, flow=flow, **options)
    videos = find_inputs(inputs, args.frames if args.frames or segment.uses_flow else False, args.fps)
    print(f'{segment.branch} of {segment.origin}: {type(segment.network).__name__}, {len(segment.classes)} classes')
    print(segment.scaling.describe())
    if segment.uses_flow:
        alone = sum(len(video.frames) for video in videos if video.name is None)
        note = f'; {alone} single images are segmented by themselves' if alone else ''
        print(f'Flow ({args.flow}) joins each video frame with the one before{note}')
    results, problems = Results(Path(args.out), segment, args.overlays), []
    live = any(video.stream is not None for video in videos)
    if live:
        print('Ctrl-C ends a stream; what was segmented until then is saved')
    total = None if live else sum(len(video.frames) for video in videos)
    with tqdm(total=total, desc='segment', unit='image') as bar:
        for video in videos:
            if video.stream is not None:
                segment_stream(segment, video, results, bar)
            else:
                segment_files(segment, video, results, args.batch_size, bar, problems)
    files = [f'{video.name}.mp4' for video in videos if video.name is not None]
    files = [', ' + name for name in files if (Path(args.out) / name).is_file()]
    overlays = ', overlays/' * (args.overlays or videos[0].name is None)
    print(f'{bar.n} images in {args.out}: ids/ (class ids){overlays}{"".join(files)}')
    if problems:
        more = [f'  ... and {len(problems) - _MAX_PROBLEMS} more'] * (len(problems) > _MAX_PROBLEMS)
        sys.exit('\n'.join(['error: not segmented:', *(f'  {problem}' for problem in problems[:_MAX_PROBLEMS]), *more]))
