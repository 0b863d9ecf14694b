"""The arguments of the commands: a function each, which adds them to a parser. Nothing here imports torch.

The docstring of a function is the sentence that the help of its command begins with.
"""

import argparse
import re
from argparse import ArgumentParser as Parser
from pathlib import Path

# Those of udass.cli.adapt.plan.
ADAPT_METHODS = ('dacs', 'daformer', 'mic', 'quadmix')
ADAPT_NETWORKS = ('daformer_b5', 'segformer_b0', 'efficientnet_lite0', 'resnet10t')
ESTIMATORS = ('dis', 'raft_small', 'raft_large')
# Those of udass.export, as below.
EXPORT_FORMATS = ('safetensors', 'onnx', 'pt2')
# Those of udass.models.checkpoints, which takes seconds to import.
WEIGHT_SOURCES = ('mit', 'daformer', 'hrda', 'mic', 'udass', 'udass-video', 'udass-video-frame', 'auto')


class _Settings(argparse.Action):
    """mmengine's DictAction, which is imported when it is used."""

    def __call__(self, parser: object, namespace: object, values: object, option_string: str | None = None) -> None:
        from mmengine.config import DictAction

        DictAction(self.option_strings, self.dest)(parser, namespace, values, option_string)


def add_config(parser: Parser) -> None:
    parser.add_argument('config', help='config file, or the name of a published config (udass configs lists them)')


def add_settings(parser: Parser, whose: str = 'the config', parsed: bool = True) -> None:
    """An option for settings ``KEY=VALUE`` that replace those of a config; not parsed, to hand them on as they are."""
    text, options = f'settings that replace those of {whose}', {'action': _Settings} if parsed else {'default': []}
    parser.add_argument('--cfg-options', nargs='+', metavar='KEY=VALUE', help=text, **options)


def add_launcher(parser: Parser) -> None:
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how processes start')


def add_branch(parser: Parser, whose: str = 'network to test (default: as in the config)') -> None:
    parser.add_argument('--branch', choices=('student', 'teacher'), help=whose)


def train(parser: Parser) -> None:
    """Train what a config describes."""
    example = 'train streets_quadmix --seed 1 (Ctrl-C saves; with --resume the same command goes on)'
    parser.epilog = f'example: udass {example}'
    add_config(parser)
    add = parser.add_argument
    add('--work-dir', help='folder for logs and checkpoints (default: work_dirs/<name of the config>)')
    text = 'go on from a checkpoint; without a name from the latest one of the work dir, if any'
    add('--resume', nargs='?', const='latest', metavar='CHECKPOINT', help=text)
    add_settings(parser)
    add_launcher(parser)
    text = 'mixed precision, bf16 if no kind is given (without --amp: as in the config)'
    add('--amp', nargs='?', const='bf16', choices=('bf16', 'fp16'), help=text)
    add('--deterministic', action='store_true', help='deterministic algorithms on the GPU (slower)')
    add('--seed', type=int, help='seed of every random stream (default: that of the config)')


def test(parser: Parser) -> None:
    """Test a checkpoint: IoU of every class and their mean."""
    parser.epilog = 'example: udass test streets_quadmix work_dirs/streets_quadmix/iter_450.pth'
    add_config(parser)
    add = parser.add_argument
    add('checkpoint', help='checkpoint file')
    text = 'write an image per test image: image, prediction, truth'
    add('--out', '--show-dir', metavar='DIR', help=text)
    add_branch(parser)
    text = 'average over each image and its mirror image, at these sizes relative to that of the config (default: 1)'
    add('--tta', nargs='*', type=float, metavar='SIZE', help=text)
    text = 'first give batch norm the statistics of N training batches of the target (default: 50)'
    add('--target-statistics', nargs='?', const=50, type=int, metavar='N', help=text)
    add('--submission', metavar='OUT.zip', help='write files for the benchmark server; no scores')
    add('--submission-split', default='test', metavar='SPLIT', help='images to submit (default: test)')
    add('--work-dir', help='folder for logs (default: work_dirs/<name of the config>/test)')
    add_settings(parser)
    add_launcher(parser)
    text = 'write the result to this file as well, the confusion matrix and the scores of every image to '
    add('--json', metavar='FILE.json', help=text + 'FILE.details.json, and its pixel counts to FILE.counts.npz')
    add('--predictions', metavar='DIR', help='write the predicted class ids of every image as PNG')


def infer(parser: Parser) -> None:
    """Segment images and video with a trained network."""
    parser.epilog = 'example: udass infer work_dirs/streets_quadmix/iter_450.pth images/ --out results'
    parser.usage = (
        '%(prog)s [options] CHECKPOINT INPUT... --out DIR\n'
        '       %(prog)s [options] CONFIG CHECKPOINT INPUT... --out DIR\n'
        '       %(prog)s [options] --config CONFIG CHECKPOINT INPUT... --out DIR'
    )
    add = parser.add_argument
    text = (
        'checkpoint of a training (it carries its config), or config and checkpoint; then inputs: images, folders, '
        'patterns in quotes, video files, numbers of cameras, addresses of streams (rtsp://...)'
    )
    add('files', nargs='+', metavar='FILE', help=text)
    add('--out', required=True, metavar='DIR', help='folder for the results')
    text = (
        'the same as CONFIG before CHECKPOINT: what builds the network in place of the config in the checkpoint, which '
        'may name registered components only'
    )
    add('--config', metavar='CONFIG', help=text)
    text = 'only for networks that use flow, where all names have a number'
    text = f'folders hold numbered frames of videos (default: {text})'
    add('--frames', action='store_true', default=None, help=text)
    add('--fps', type=float, metavar='N', help='frames per second of numbered frames (default: 25)')
    add('--overlays', action='store_true', help='write the overlay of every video frame as an image, too')
    add_branch(parser, 'network to use (default: as in the config)')
    add('--device', help='e.g. cuda:0 or cpu (default: the GPU if there is one)')
    text = 'images that go through the network at once (default: %(default)s)'
    add('--batch-size', type=int, default=1, metavar='N', help=text)
    add('--native', action='store_true', help='leave images at their own size instead of that of the test pipeline')
    text = 'estimator of the flow, for networks that use it (default: %(default)s)'
    add('--flow', choices=ESTIMATORS, default='dis', help=text)
    add_settings(parser)


def export(parser: Parser) -> None:
    """Write a trained network into a folder that other programs read: safetensors, ONNX, torch.export."""
    parser.epilog = 'example: udass export work_dirs/streets_quadmix/iter_450.pth --format safetensors onnx --check'
    parser.usage = '%(prog)s [options] CHECKPOINT\n       %(prog)s [options] CONFIG CHECKPOINT'
    add = parser.add_argument
    text = 'checkpoint of a training (it carries its config), or config and checkpoint'
    add('files', nargs='+', metavar='FILE', help=text)
    add('--out', metavar='DIR', help='new folder to write (default: <CHECKPOINT without suffix>_exported)')
    text = 'safetensors for udass.load, onnx for ONNX Runtime, pt2 for torch.export.load (default: safetensors)'
    add('--format', nargs='+', dest='formats', choices=EXPORT_FORMATS, default=['safetensors'], help=text)
    text = 'of the images that onnx and pt2 take (default: the window, or the size that the network is tested at)'
    add('--size', type=_size, metavar='HxW', help=f'height and width {text}')
    add(
        '--dynamic', action='store_true', help='onnx and pt2 take images of any size; refused where they would be wrong'
    )
    text = 'what onnx and pt2 give: logits, or class ids (default: %(default)s)'
    add('--output', choices=('logits', 'ids'), default='logits', help=text)
    text = 'compare what was written with the network, and record how close it is'
    add('--check', dest='compare', action='store_true', help=text)
    add_branch(parser, 'network to export (default: as in the config)')
    add_settings(parser)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if match is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not height x width in pixels, such as 512x1024')
    return int(match[1]), int(match[2])


def report(parser: Parser) -> None:
    """Write one HTML page of a run, or of several side by side."""
    example = 'report work_dirs/streets_source_only work_dirs/streets_quadmix --out comparison.html'
    parser.epilog = f'example: udass {example}'
    add = parser.add_argument
    text = (
        'work dirs of udass train, or folders of udass seeds or udass demo, whose seeds become one method with mean '
        'and deviation; gains and losses are those of the last one over the first'
    )
    add('folders', nargs='+', metavar='WORK_DIR', help=text)
    text = 'page to write (default: report.html in the first WORK_DIR)'
    add('--out', type=Path, metavar='FILE.html', help=text)
    text = 'images to show that gain most, and as many that lose most (default: %(default)s)'
    add('--examples', type=int, default=3, metavar='N', help=text)


def adapt(parser: Parser) -> None:
    """Adapt a network from a folder of labelled images to a folder or video without labels, without a config."""
    parser.epilog = 'example: udass adapt labelled_photos/ drive.mp4 --out work_dirs/drive'
    add = parser.add_argument
    text = 'folder of images and labels: two folders in it (images/, labels/), or pairs side by side'
    add('source', metavar='SOURCE', help=text)
    add('target', metavar='TARGET', help='folder of images without labels, or a video file')
    add('--out', metavar='DIR', help='folder for everything (default: work_dirs/adapt_<name of the target>)')
    text = 'which colour of the labels is which class: a line "name r g b" each (default: labels are ids)'
    add('--colors', metavar='FILE', help=text)
    add('--test', metavar='FOLDER', help='labelled images of the target, to score the networks on')
    add('--iterations', type=int, metavar='N', help='length of each training (default: that of the network)')
    add('--method', choices=ADAPT_METHODS, default='quadmix', help='default: %(default)s')
    text = 'default: the largest that fits the memory of the GPU, a small one without GPU'
    add('--network', choices=ADAPT_NETWORKS, help=text)
    add('--seed', type=int, default=0, help='seed of every random stream')
    add('--only', choices=('source', 'adapted'), help='train on the source alone, or adapted, only (default: both)')
    add('--yes', action='store_true', help='do not ask before the training starts')
    add('--dry-run', action='store_true', help='print the plan, and write and train nothing')


def seeds(parser: Parser) -> None:
    """Train and test each config with each seed."""
    parser.epilog = 'example: udass seeds streets_source_only streets_quadmix --seeds 0 1 2'
    add = parser.add_argument
    add('configs', nargs='+', metavar='CONFIG', help='config files, or names of published configs')
    add('--seeds', nargs='+', type=int, default=[0, 1, 2], help='seeds (default: 0 1 2)')
    text = 'folder for everything (default: %(default)s); results in <config>/seed_<n>/result.json, summary.json, '
    add('--out', default='work_dirs/seeds', metavar='DIR', help=text + 'differences.json, summary.md')
    add_settings(parser, 'every config', parsed=False)


def flow(parser: Parser) -> None:
    """Compute the optical flow that the clips of a config, or a folder of frames, need in training; or measure it."""
    parser.epilog = 'example: udass flow viper2csseq_quadmix --workers 8'
    add = parser.add_argument
    text = 'config file, or name of a published config; it says where flow is stored and how it is estimated'
    add('config', nargs='?', help=text)
    add_settings(parser)
    add('--workers', type=int, default=None, help='threads (default: one per core)')
    add = parser.add_argument_group('instead of a config').add_argument
    add('--frames', metavar='FOLDER', help='numbered frames of one or more sequences')
    add('--cache', metavar='FOLDER', default='data/flow', help='folder to fill (default: %(default)s)')
    text = "paths in the cache count from here, as with a config's data_root (default: absolute)"
    add('--root', metavar='FOLDER', help=text)
    add('--size', type=int, nargs=2, metavar=('H', 'W'), help='pixels (default: those of the frames)')
    text = 'flow to the frames so many before (default: 1)'
    add('--steps', type=int, nargs='+', default=[1], metavar='K', help=text)
    add('--estimator', choices=ESTIMATORS, default='dis', help='default: %(default)s')
    add('--checkpoint', metavar='FILE', help="RAFT's weights (default: torchvision's, fetched once)")
    add = parser.add_argument_group('to measure flow instead of computing it').add_argument
    add('--measure', action='store_true', help='measure the flow of the labelled test clips of the config')
    text = 'take the flow files of the config as the truth and measure DIS against them'
    add('--exact', action='store_true', help=text)
    add('--json', metavar='FILE', help='write the result to this file as well')


def check(parser: Parser) -> None:
    """Read every file of the data sets of a config and report problems."""
    parser.epilog = 'example: udass check gta2cs_quadmix'
    add_config(parser)
    add_settings(parser)
    text = 'problems to list per data set (default: 20)'
    parser.add_argument('--max-problems', type=int, default=20, help=text)


def browse(parser: Parser) -> None:
    """Show the training samples of a config: augmented images, clips with flow, mixed images."""
    parser.epilog = 'example: udass browse streets_quadmix --out samples.html --number 8'
    add_config(parser)
    add = parser.add_argument
    text = '*.png: one image, *.html: one page that opens from disk (default: work_dirs/<config>/samples.png)'
    add('--out', type=Path, metavar='FILE', help=text)
    add('--number', type=int, default=4, metavar='N', help='samples of each domain (default: %(default)s)')
    text = 'from which iteration on; a mixing that starts later is seen there (default: 0)'
    add('--iteration', type=int, default=0, metavar='N', help=text)
    add('--checkpoint', metavar='FILE', help='networks that make the pseudo-labels')
    add('--no-passes', action='store_true', help='samples only: runs no network')
    add_settings(parser)


def convert(parser: Parser) -> None:
    """Convert weights between code bases: published, ours, mmseg."""
    parser.epilog = 'example: udass convert mic.pth out.pth --from mic --check gta2cs_mic'
    add = parser.add_argument
    add('input', type=Path, metavar='IN', help='file of torch.save')
    add('output', type=Path, metavar='OUT', help='file to write')
    text = 'where IN comes from (default: auto, what its keys show; files of this project, too)'
    add('--from', dest='source', choices=WEIGHT_SOURCES, default='auto', help=text)
    text = 'network of a training checkpoint (default: student, which the papers evaluate)'
    add('--branch', choices=('student', 'teacher'), default='student', help=text)
    text = "names to write: this project's (default), those that fit plain MMSegmentation best, or the published ones"
    add('--to', dest='target', choices=('udass', 'mmseg', 'reference'), default='udass', help=text)
    text = (
        'make an image network one of two frames, whose logits are (1 - SHARE) times those of the frame plus SHARE '
        'times those of the frame before, warped by optical flow'
    )
    add('--add-fusion', type=float, metavar='SHARE', help=text)
    add('--check', metavar='CONFIG', help='make sure that the network of this config takes the result')


def demo(parser: Parser) -> None:
    """Train source-only and QuadMix on the built-in streets and compare."""
    parser.epilog = 'example: udass demo --out work_dirs/demo --images 8'
    add = parser.add_argument
    text = 'see that everything works: a few images and iterations, which teach the networks little'
    add('--quick', action='store_true', help=text)
    add('--out', metavar='DIR', help='folder for everything (default: work_dirs/demo, or work_dirs/demo_quick)')
    add('--seed', type=int, default=0, help='seed of every random stream')
    add('--images', type=int, default=5, help='test images in the comparison, evenly spaced')
    add_settings(parser, 'both configs', parsed=False)


def streets(parser: Parser) -> None:
    """Write the built-in street scenes as data set folders."""
    parser.epilog = 'example: udass streets --root data/streets --clips'
    add = parser.add_argument
    add('--root', default='data/streets', help='folder to fill (default: %(default)s)')
    add('--seed', type=int, default=0, help='seed of all images (default: %(default)s)')
    add('--size', type=int, nargs=2, metavar=('H', 'W'), default=(192, 384), help='pixels (default: 192 384)')
    counts = 'images of each domain and split, e.g. game/train=600 (default: 300 to train on, 50 and 100 to test)'
    add('--counts', nargs='+', type=image_count, default=(), metavar='DOMAIN/SPLIT=N', help=counts)
    clips = (
        'write clips of four frames with optical flow, too; how many of each domain and split, for example '
        'game/train=150 (default: 60 to train on, 10 and 20 to test)'
    )
    add('--clips', nargs='*', type=image_count, metavar='DOMAIN/SPLIT=N', help=clips)
    add('--force', action='store_true', help='replace streets that were drawn with other arguments')
    add('--workers', type=int, default=None, help='processes (default: one per core)')


def image_count(text: str) -> tuple[str, str, int]:
    """'game/train=600' as ('game', 'train', 600)."""
    found = re.fullmatch(r'(\w+)/(\w+)=(\d+)', text)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text!r} is not of the form DOMAIN/SPLIT=N, for example game/train=600')
    return found[1], found[2], int(found[3])


def env(parser: Parser) -> None:
    """Show versions, devices, conflicting packages and what is missing."""
    parser.epilog = 'example: udass env'


def configs(parser: Parser) -> None:
    """List the published configs with their networks and scores, or copy one to edit."""
    parser.epilog = 'example: udass configs quadmix cityscapes'
    add = parser.add_argument
    add('words', nargs='*', metavar='WORD', help='list only configs that have all these words in their description')
    text = 'write this config, with its base files resolved, to a file that can be edited'
    add('--copy', metavar='NAME', help=text)
    add('--out', type=Path, metavar='FILE.py', help='file to write (default: NAME.py in the current folder)')


def benchmark(parser: Parser) -> None:
    """Measure time, memory and kernel launches of a training step, of mixing, of the loaders or of inference."""
    parser.epilog = 'example: udass benchmark step benchmark_daformer_mitb0 benchmark_quadmix_mitb0 --size 256'
    add = parser.add_argument
    text = (
        'what to measure; only the loader reads data, memory computes the bytes of a training without running it, and '
        'gpu fills a table of the published image methods in several precisions'
    )
    add('what', choices=('step', 'mix', 'loader', 'infer', 'memory', 'gpu'), help=text)
    text = 'config files; the others are compared with the first (gpu: those of its table, all by default)'
    add('configs', nargs='*', metavar='CONFIG', help=text)
    add_settings(parser, whose='every config')
    text = 'side, or H and W, of images (default: 256; gpu: the crops of each config)'
    add('--size', type=int, nargs='+', metavar='PIXELS', help=text)
    add('--batch', type=int, metavar='N', help='samples per domain (default: 2; gpu: that of each config)')
    add('--device', help='cpu, cuda or cuda:N (default: the GPU if there is one)')
    add('--threads', type=int, metavar='N', help='threads of torch on the CPU (default: its own choice)')
    add('--seconds', type=float, default=10, help='time for each config (default: 10)')
    text = 'gpu: seconds after which the rest of the table is left out (default: 480)'
    add('--budget', type=float, default=480, metavar='SECONDS', help=text)
    add('--profile', action='store_true', help='show the operators that take most time')
    add('--json', metavar='FILE', help='write the result to this file as well')
