"""Segments pictures and video with a trained network: class ids, colour overlays, video with overlays.

    python tools/infer.py work_dirs/streets_quadmix/iter_450.pth picture.png folder/ video.mp4 --out results
    python tools/infer.py work_dirs/streets_quadmix/iter_450.pth 0 --out results          # camera 0, until Ctrl-C
    python tools/infer.py configs/gta2cs_mic.py converted.pth 'pictures/**/*.jpg' --out results --device cuda:0

docs/use_a_network.md says what is written, and what happens to the size of pictures.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import DictAction
from tqdm import tqdm

from udass.cli.command import run_command, short_message
from udass.flow import DISFlow, RAFTFlow
from udass.inference import Frame, Recording, Segmenter, Stream, check_inputs, find_inputs
from udass.inference.loading import is_config
from udass.io.video_writer import VideoWriter
from udass.io.writing import write_image
from udass.visualization import draw_legend, draw_overlay, overlay_labels, save_image

# Of what could not be segmented, to be named at the end.
_MAX_PROBLEMS = 20
_FLOWS = {'dis': DISFlow, 'raft_small': lambda: RAFTFlow('small'), 'raft_large': lambda: RAFTFlow('large')}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Segment pictures and video with a trained network.',
        usage='%(prog)s [options] CHECKPOINT INPUT... --out DIR\n'
        '       %(prog)s [options] CONFIG CHECKPOINT INPUT... --out DIR\n'
        '       %(prog)s [options] --config CONFIG CHECKPOINT INPUT... --out DIR',
        epilog='example: python tools/infer.py work_dirs/streets_quadmix/iter_450.pth pictures/ --out results',
    )
    parser.add_argument(
        'files',
        nargs='+',
        metavar='FILE',
        help='checkpoint of a training (it carries its config), or config and checkpoint; then inputs: '
        'pictures, folders, patterns in quotes, video files, numbers of cameras, '
        'addresses of streams (rtsp://...)',
    )
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the results')
    parser.add_argument(
        '--config',
        metavar='CONFIG',
        help='the same as CONFIG before CHECKPOINT: what builds the '
        'network in place of the config in the checkpoint, which may name registered components only',
    )
    parser.add_argument(
        '--frames',
        action='store_true',
        default=None,
        help='folders hold numbered frames of videos (default: only for networks that use flow, where '
        'all names have a number)',
    )
    parser.add_argument('--fps', type=float, metavar='N', help='frames per second of numbered frames (default: 25)')
    parser.add_argument(
        '--overlays', action='store_true', help='write the overlay of every video frame as a picture, too'
    )
    parser.add_argument('--branch', choices=('student', 'teacher'), help='network to use (default: as in the config)')
    parser.add_argument('--device', help='e.g. cuda:0 or cpu (default: the GPU if there is one)')
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        metavar='N',
        help='pictures that go through the network at once (default: %(default)s)',
    )
    parser.add_argument(
        '--native', action='store_true', help='leave pictures at their own size instead of that of the test pipeline'
    )
    parser.add_argument(
        '--flow',
        choices=tuple(_FLOWS),
        default='dis',
        help='estimator of the flow, for networks that use it (default: %(default)s)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config',
    )
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    args = parser.parse_args(arguments)
    if args.config is not None:
        args.files.insert(0, args.config)
    models = 2 if args.config is not None or is_config(args.files[0]) else 1
    args.model, args.inputs = args.files[:models], args.files[models:]
    if len(args.model) < models or not args.inputs:
        parser.error(f'give {"the checkpoint" if len(args.model) < models else "inputs"} after {args.files[-1]}')
    if args.batch_size < 1 or args.fps is not None and args.fps <= 0:
        parser.error(f'--batch-size and --fps are positive, got {args.batch_size} and {args.fps}')
    return args


class Results:
    """Writes what was predicted.

    Args:
        folder: for everything.
        segment: says which classes there are.
        all_overlays: whether frames of videos get an overlay each, too.
    """

    def __init__(self, folder: Path, segment: Segmenter, all_overlays: bool) -> None:
        self.folder, self.segment, self.all_overlays = folder, segment, all_overlays

    def write(self, name: str, image: np.ndarray, ids: np.ndarray, overlay: bool) -> None:
        """The files of one picture or frame: class ids (H, W) as a grey PNG and, if asked for, colours over it."""
        write_image(self.folder / 'ids' / f'{name}.png', ids)
        if overlay:
            picture = draw_overlay(image, ids, self.segment.classes, self.segment.palette)
            save_image(self.folder / 'overlays' / f'{name}.png', picture)

    def write_frame(self, name: str, image: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """The files of a frame of a video; returns what the video shows."""
        self.write(name, image, ids, self.all_overlays)
        return overlay_labels(image, ids, self.segment.palette)

    def video(self, name: str, rate: float) -> VideoWriter:
        """A video, and beside it the legend that its frames have no room for."""
        save_image(self.folder / f'{name}.legend.png', draw_legend(self.segment.classes, self.segment.palette))
        return VideoWriter(self.folder / f'{name}.mp4', rate)


class Reader:
    """Reads frames, keeping the last one: it is the one before the first of the next group.

    Args:
        segment: reads files as its network was trained on them.
        problems: gets what is wrong with pictures that cannot be read.
    """

    def __init__(self, segment: Segmenter, problems: list[str]) -> None:
        self.segment, self.problems = segment, problems
        self._last: tuple[str, np.ndarray] | None = None

    def read(self, frames: Sequence[Frame], with_previous: bool) -> dict[str, np.ndarray]:
        """Pictures by path, each read once and in their order, as decoders of video go forward only; without those
        that cannot be read. ``with_previous``: also the frames before them."""
        paths = dict.fromkeys(
            path for frame in frames for path in ((frame.previous, frame.path) if with_previous else (frame.path,))
        )
        pictures = {}
        for path in paths:
            if self._last is not None and self._last[0] == path:
                pictures[path] = self._last[1]
                continue
            try:
                pictures[path] = self.segment.read(path)
            except (OSError, ValueError) as error:
                if any(frame.path == path for frame in frames):
                    self.problems.append(str(error))
        if pictures:
            self._last = list(pictures.items())[-1]
        return pictures


def segment_frames(
    segment: Segmenter, frames: Sequence[Frame], size: int, problems: list[str]
) -> Iterator[tuple[Frame, np.ndarray | None, np.ndarray | None]]:
    """Frames with their pictures (H, W, 3) RGB and class ids (H, W), ``size`` of them at a time.

    A frame that cannot be read or segmented comes without both, and ``problems`` gets the reason. For the one after it
    there is no motion.
    """
    with_previous = segment.uses_flow and frames[0].previous is not None
    reader = Reader(segment, problems)
    for start in range(0, len(frames), size):
        group = frames[start : start + size]
        pictures = reader.read(group, with_previous)
        found = segment_group(
            segment, [frame for frame in group if frame.path in pictures], pictures, with_previous, problems
        )
        for frame in group:
            ids = found.get(frame.path)
            yield frame, None if ids is None else pictures[frame.path], ids


def segment_group(
    segment: Segmenter,
    frames: Sequence[Frame],
    pictures: Mapping[str, np.ndarray],
    with_previous: bool,
    problems: list[str],
) -> dict[str, np.ndarray]:
    """Class ids by path of frames that go through the network together, one by one if that fails."""
    images = [pictures[frame.path] for frame in frames]
    previous = [before_of(frame, pictures) for frame in frames] if with_previous else None
    try:
        return dict(zip([frame.path for frame in frames], segment.batch(images, previous), strict=True))
    # RuntimeError: of torch, for example for want of memory.
    except (ValueError, RuntimeError, cv2.error) as error:
        if len(frames) == 1:
            problems.append(f'{frames[0].path}: {short_message(error)}')
            return {}
    return {
        path: ids
        for frame in frames
        for path, ids in segment_group(segment, [frame], pictures, with_previous, problems).items()
    }


def before_of(frame: Frame, pictures: Mapping[str, np.ndarray]) -> np.ndarray:
    """The picture before a frame; that of the frame itself, which is no motion, if it is missing or of another size."""
    image = pictures[frame.path]
    previous = pictures.get(frame.previous, image)
    return previous if previous.shape == image.shape else image


def segment_images(
    segment: Segmenter, recording: Recording, results: Results, size: int, bar: tqdm, problems: list[str]
) -> None:
    for frame, image, ids in segment_frames(segment, recording.frames, size, problems):
        if ids is not None:
            results.write(frame.name, image, ids, overlay=True)
            bar.update()


def segment_video(
    segment: Segmenter, recording: Recording, results: Results, size: int, bar: tqdm, problems: list[str]
) -> None:
    """Frames that fail show the one before them, so that the video keeps its time; at the start, the one after."""
    shown, waiting = None, 0
    with results.video(recording.name, recording.rate) as video:
        for frame, image, ids in segment_frames(segment, recording.frames, size, problems):
            if ids is not None and shown is not None and image.shape != shown.shape:
                problems.append(
                    f'{frame.path} is {image.shape[1]}x{image.shape[0]} pixels, the video '
                    f'{shown.shape[1]}x{shown.shape[0]} (width x height): left out'
                )
            elif ids is not None:
                shown = results.write_frame(frame.name, image, ids)
                bar.update()
            if shown is None:
                waiting += 1
                continue
            for _ in range(1 + waiting):
                video.add(shown)
            waiting = 0


def segment_stream(segment: Segmenter, recording: Recording, results: Results, bar: tqdm) -> None:
    """Until the stream ends, or Ctrl-C; both leave a whole video."""
    with Stream(recording.stream) as stream, results.video(recording.name, stream.rate) as video:
        before = None
        try:
            for number, image in enumerate(stream):
                ids = segment(image, image if before is None else before)
                video.add(results.write_frame(f'{recording.name}/{number:06d}', image, ids))
                before = image
                bar.update()
        except KeyboardInterrupt:
            print(f'\n{recording.name}: stopped')


def infer(args: argparse.Namespace) -> None:
    # Wrong names are to be told before a large network is read, which says whether folders are videos.
    check_inputs(args.inputs, args.frames or False)
    segment = Segmenter(
        *args.model,
        branch=args.branch,
        device=args.device,
        native=args.native,
        flow=_FLOWS[args.flow](),
        options=args.cfg_options,
    )
    numbered = args.frames if args.frames is not None or segment.uses_flow else False
    recordings = find_inputs(args.inputs, numbered, args.fps)
    print(f'{segment.branch} of {segment.origin}: {type(segment.network).__name__}, {len(segment.classes)} classes')
    print(segment.scaling.describe())
    if segment.uses_flow:
        alone = sum(len(recording.frames) for recording in recordings if recording.name is None)
        print(
            f'Flow ({args.flow}) joins each video frame with the one before'
            + (f'; {alone} single pictures are segmented by themselves' if alone else '')
        )
    results = Results(Path(args.out), segment, args.overlays)
    problems: list[str] = []
    live = any(recording.stream is not None for recording in recordings)
    total = None if live else sum(len(recording.frames) for recording in recordings)
    if live:
        print('Ctrl-C ends a stream; what was segmented until then is kept')
    with tqdm(total=total, desc='segment', unit='picture') as bar:
        for recording in recordings:
            if recording.stream is not None:
                segment_stream(segment, recording, results, bar)
            elif recording.name is None:
                segment_images(segment, recording, results, args.batch_size, bar, problems)
            else:
                segment_video(segment, recording, results, args.batch_size, bar, problems)
        done = bar.n
    report(args, recordings, done, problems)


def report(args: argparse.Namespace, recordings: Sequence[Recording], done: int, problems: Sequence[str]) -> None:
    """What was written where; ends with status 1 if something could not be segmented."""
    videos = [
        f'{recording.name}.mp4'
        for recording in recordings
        if recording.name is not None and (Path(args.out) / f'{recording.name}.mp4').is_file()
    ]
    overlays = args.overlays or recordings[0].name is None
    print(
        f'{done} pictures in {args.out}: ids/ (class ids)'
        + ', overlays/' * overlays
        + ''.join(f', {video}' for video in videos)
    )
    if problems:
        more = [f'  ... and {len(problems) - _MAX_PROBLEMS} more'] if len(problems) > _MAX_PROBLEMS else []
        sys.exit('\n'.join(['error: not segmented:', *(f'  {problem}' for problem in problems[:_MAX_PROBLEMS]), *more]))


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: infer(args))


if __name__ == '__main__':
    main()
