"""Segments pictures and video with a trained network: class ids, colour overlays, side-by-side video.

    python tools/infer.py work_dirs/streets_quadmix/iter_450.pth picture.png folder/ video.mp4 --out results
    python tools/infer.py configs/gta2cs_mic.py converted.pth 'pictures/**/*.jpg' --out results --device cuda:0

docs/use_a_network.md says what is written, and what happens to the size of pictures.
"""
import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import DictAction
from tqdm import tqdm

from udass.datasets.transforms.loading import read_image
from udass.engine.command import run_command, short_message
from udass.flow import DISFlow, RAFTFlow
from udass.inference import Frame, Recording, Segmenter, check_inputs, find_inputs
from udass.inference.loading import is_config
from udass.visualization import SideBySide, VideoFile, draw_overlay, save_picture

_FLOWS = {'dis': DISFlow, 'raft_small': lambda: RAFTFlow('small'), 'raft_large': lambda: RAFTFlow('large')}


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Segment pictures and video with a trained network.',
        usage='%(prog)s [options] CHECKPOINT INPUT... --out DIR\n'
              '       %(prog)s [options] CONFIG CHECKPOINT INPUT... --out DIR\n'
              '       %(prog)s [options] --config CONFIG CHECKPOINT INPUT... --out DIR',
        epilog='example: python tools/infer.py work_dirs/streets_quadmix/iter_450.pth pictures/ --out results')
    parser.add_argument('files', nargs='+', metavar='FILE',
                        help='checkpoint of a training (it carries its config), or config and checkpoint; then inputs: '
                        'pictures, folders, patterns in quotes, video files')
    parser.add_argument('--out', required=True, metavar='DIR', help='folder for the results')
    parser.add_argument('--config', metavar='CONFIG', help='the same as CONFIG before CHECKPOINT: what builds the '
                        'network in place of the config in the checkpoint, which may name registered components only')
    parser.add_argument('--frames', action='store_true', default=None,
                        help='folders hold numbered frames of videos (default: only for networks that use flow, where '
                        'all names have a number)')
    parser.add_argument('--fps', type=float, metavar='N', help='frames per second of numbered frames (default: 25)')
    parser.add_argument('--overlays', action='store_true',
                        help='write the overlay of every video frame as a picture, too')
    parser.add_argument('--branch', choices=('student', 'teacher'), help='network to use (default: as in the config)')
    parser.add_argument('--device', help='e.g. cuda:0 or cpu (default: the GPU if there is one)')
    parser.add_argument('--batch-size', type=int, default=1, metavar='N',
                        help='pictures that go through the network at once (default: %(default)s)')
    parser.add_argument('--native', action='store_true',
                        help='leave pictures at their own size instead of that of the test pipeline')
    parser.add_argument('--flow', choices=tuple(_FLOWS), default='dis',
                        help='estimator of the flow, for networks that use it (default: %(default)s)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings that replace those of the config')
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


@lru_cache(maxsize=1)
def read_picture(path: str) -> np.ndarray:
    """Picture (H, W, 3) uint8 RGB. The last one is kept: it is the one before the first of the next group."""
    return np.ascontiguousarray(read_image(path, upright=True)[..., ::-1])


def write_ids(path: Path, ids: np.ndarray) -> None:
    """Class ids (H, W) uint8 as a grey PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), ids):
        raise OSError(f'cannot write the class ids {path}')


class Results:
    """Writes what was predicted.

    Args:
        folder: for everything.
        segment: says which classes there are.
        all_overlays: whether frames of videos get an overlay each, too.
    """

    def __init__(self, folder: Path, segment: Segmenter, all_overlays: bool) -> None:
        self.folder, self.segment, self.all_overlays = folder, segment, all_overlays

    def write(self, frame: Frame, image: np.ndarray, ids: np.ndarray, video: VideoFile | None,
              draw: SideBySide | None) -> None:
        """The files of one picture or frame."""
        write_ids(self.folder / 'ids' / f'{frame.name}.png', ids)
        if video is None or self.all_overlays:
            overlay = draw_overlay(image, ids, self.segment.classes, self.segment.palette)
            save_picture(self.folder / 'overlays' / f'{frame.name}.png', overlay)
        if video is not None:
            video.add(draw(image, ids))


def read_group(group: Sequence[Frame], with_previous: bool, problems: list[str] | None) -> dict[str, np.ndarray]:
    """The pictures of some frames by path, each read once and in their order, as decoders of video go forward only.

    Args:
        with_previous: also the frames before them.
        problems: gets what is wrong with a picture that cannot be read, which is then left out; None lets the error
            through, as a video cannot go on without a frame.
    """
    paths = dict.fromkeys(path for frame in group for path in ((frame.previous, frame.path) if with_previous
                                                               else (frame.path, )))
    pictures = {}
    for path in paths:
        try:
            pictures[path] = read_picture(path)
        except (OSError, ValueError) as error:
            if problems is None:
                raise
            problems.append(str(error))
    return pictures


def segment_frames(segment: Segmenter, frames: Sequence[Frame], size: int,
                   problems: list[str] | None) -> Iterator[tuple[Frame, np.ndarray, np.ndarray]]:
    """Frames with their pictures (H, W, 3) RGB and class ids (H, W), ``size`` of them at a time; see `read_group`."""
    with_previous = segment.uses_flow and frames[0].previous is not None
    for start in range(0, len(frames), size):
        group = frames[start:start + size]
        pictures = read_group(group, with_previous, problems)
        group = [frame for frame in group if frame.path in pictures]
        images = [pictures[frame.path] for frame in group]
        previous = [pictures[frame.previous] for frame in group] if with_previous else None
        yield from zip(group, images, segment.batch(images, previous), strict=True)


def segment_pictures(segment: Segmenter, recording: Recording, results: Results, size: int, bar: tqdm,
                     problems: list[str]) -> None:
    for frame, image, ids in segment_frames(segment, recording.frames, size, problems):
        results.write(frame, image, ids, None, None)
        bar.update()


def segment_video(segment: Segmenter, recording: Recording, results: Results, size: int, bar: tqdm) -> None:
    draw = SideBySide(read_picture(recording.frames[0].path).shape[:2], segment.classes, segment.palette)
    with VideoFile(results.folder / f'{recording.name}.mp4', recording.rate) as video:
        for frame, image, ids in segment_frames(segment, recording.frames, size, None):
            results.write(frame, image, ids, video, draw)
            bar.update()


def infer(args: argparse.Namespace) -> None:
    # Wrong names are to be told before a large network is read, which says whether folders are videos.
    check_inputs(args.inputs, args.frames or False)
    segment = Segmenter(*args.model, branch=args.branch, device=args.device, native=args.native,
                        flow=_FLOWS[args.flow](), options=args.cfg_options)
    numbered = args.frames if args.frames is not None or segment.uses_flow else False
    recordings = find_inputs(args.inputs, numbered, args.fps)
    print(f'{segment.branch} of {segment.origin}: {type(segment.network).__name__}, {len(segment.classes)} classes')
    print(segment.scaling.describe())
    if segment.uses_flow:
        alone = sum(len(recording.frames) for recording in recordings if recording.name is None)
        print(f'Flow ({args.flow}) joins each video frame with the one before'
              + (f'; {alone} single pictures are segmented by themselves' if alone else ''))
    results = Results(Path(args.out), segment, args.overlays)
    problems: list[str] = []
    total = sum(len(recording.frames) for recording in recordings)
    with tqdm(total=total, desc='segment', unit='picture') as bar:
        for recording in recordings:
            try:
                if recording.name is None:
                    segment_pictures(segment, recording, results, args.batch_size, bar, problems)
                else:
                    segment_video(segment, recording, results, args.batch_size, bar)
            except (OSError, ValueError) as error:
                problems.append(f'{recording.name or "pictures"}: {short_message(error)}')
        done = bar.n
    report(args, recordings, done, problems)


def report(args: argparse.Namespace, recordings: Sequence[Recording], done: int, problems: Sequence[str]) -> None:
    """What was written where; ends with status 1 if something could not be segmented."""
    videos = [f'{recording.name}.mp4' for recording in recordings if recording.name is not None
              and (Path(args.out) / f'{recording.name}.mp4').is_file()]
    overlays = args.overlays or recordings[0].name is None
    print(f'{done} pictures in {args.out}: ids/ (class ids)' + ', overlays/' * overlays
          + ''.join(f', {video}' for video in videos))
    if problems:
        sys.exit('\n'.join(['error: not segmented:', *(f'  {problem}' for problem in problems)]))


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    run_command(lambda: infer(args))


if __name__ == '__main__':
    main()
