"""Tests a checkpoint: IoU of every class and their mean, on clips also temporal consistency, in percent.

    python tools/test.py configs/streets_quadmix.py work_dirs/streets_quadmix/iter_450.pth --show-dir pictures

With --submission it writes what the server of the benchmark takes instead, by default for the split `test`.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, RUNNERS
from tqdm import tqdm

from udass.cli.command import run_command
from udass.engine.config import explain_type_error, load_config
from udass.engine.distributed import processes_ended
from udass.evaluation import use_for_submission
from udass.evaluation.iou import extra_scores, find_metric, write_scores


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Test a checkpoint: IoU of every class and their mean.',
        epilog='example: python tools/test.py configs/streets_quadmix.py work_dirs/streets_quadmix/iter_450.pth',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--show-dir', metavar='DIR', help='write a picture per image: image, prediction, truth')
    parser.add_argument('--branch', choices=('student', 'teacher'), help='network to test (default: as in the config)')
    parser.add_argument('--submission', metavar='OUT.zip', help='write files for the benchmark server; no scores')
    parser.add_argument('--submission-split', default='test', metavar='SPLIT', help='images to submit (default: test)')
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/<name of the config>/test)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings that replace those of the config',
    )
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how processes start')
    parser.add_argument(
        '--json',
        metavar='FILE.json',
        help='write the result to this file as well, and the confusion '
        'matrix and the scores of every image to FILE.details.json',
    )
    parser.add_argument('--predictions', metavar='DIR', help='write the predicted class ids of every image as PNG')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    args = parser.parse_args(arguments)
    given = [f'--{name}' for name in ('json', 'predictions') if getattr(args, name) is not None]
    if args.submission is not None and given:
        parser.error(f'--submission writes no scores and only its own files: leave {" and ".join(given)} out')
    return args


def build_config(args: argparse.Namespace) -> Config:
    """The config with everything that the command line changes."""
    config = load_config(args.config, args.cfg_options)
    if config.get('test_dataloader') is None or config.get('test_evaluator') is None:
        raise ValueError(f'{args.config} has no test_dataloader and test_evaluator: nothing to test on')
    if config.get('test_cfg') is None:
        config.test_cfg = {'type': 'TestLoop'}
    config.work_dir = args.work_dir or str(Path('work_dirs') / Path(args.config).stem / 'test')
    config.launcher = args.launcher
    config.load_from, config.resume = args.checkpoint, False
    if args.branch is not None:
        config.model['eval_branch'] = args.branch
    # The table is the output; what training logs besides would bury it.
    config.log_level = 'WARNING'
    config.custom_hooks = []
    if args.submission is not None:
        use_for_submission(config, args.submission, args.submission_split)
    elif args.predictions is not None:
        write_predictions(config, args.predictions)
    name_predictions(config)
    if args.show_dir is not None:
        config.custom_hooks = [{'type': 'PredictionImageHook', 'folder': args.show_dir}]
    return config


def iou_metrics(config: Config) -> list[dict]:
    """Configs of the IoU metrics of the test."""
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    return [evaluator for evaluator in evaluators if evaluator.get('type') == 'ClassIoUMetric']


def write_predictions(config: Config, folder: str) -> None:
    """Makes the IoU metric of the test write the predicted class ids to ``folder``.

    Raises:
        ValueError: the config does not test with ClassIoUMetric.
    """
    metrics = iou_metrics(config)
    if not metrics:
        evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
        raise ValueError(
            '--predictions needs a ClassIoUMetric in test_evaluator, which has '
            f'{", ".join(str(evaluator.get("type")) for evaluator in evaluators)}'
        )
    metrics[0]['output_dir'] = folder


def name_predictions(config: Config) -> None:
    """Tells the IoU metrics that write predictions where the images are: predictions are named by the path below."""
    for metric in iou_metrics(config):
        if metric.get('output_dir') is not None and metric.get('image_root') is None:
            folders = image_folders(config.test_dataloader.dataset, config.get('default_scope', 'mmseg'))
            metric['image_root'] = os.path.commonpath(folders) if folders else None


def image_folders(node: Mapping, scope: str) -> list[str]:
    """Absolute paths of the folders of images of a data set, or of those that it joins."""
    parts = node.get('datasets', [node['dataset']] if 'dataset' in node else [])
    if parts:
        return [folder for part in parts for folder in image_folders(part, scope)]
    init_default_scope(scope)
    dataset = DATASETS.build({**node, 'pipeline': [], 'lazy_init': True})
    folder = getattr(dataset, 'data_prefix', {}).get('img_path')
    return [] if folder is None else [os.path.abspath(folder)]


class ProgressBar(Hook):
    """Shows how far the test is."""

    def before_test(self, runner: Runner) -> None:
        self.bar = tqdm(total=len(runner.test_dataloader), desc='test', unit='batch', disable=not is_main_process())

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: Sequence | None = None
    ) -> None:
        self.bar.update()

    def after_test(self, runner: Runner) -> None:
        self.bar.close()


def test(args: argparse.Namespace) -> None:
    config = build_config(args)
    try:
        runner = RUNNERS.build(config)
        runner.register_hook(ProgressBar())
        metrics = {name: float(value) for name, value in runner.test().items()}
    except TypeError as error:
        explanation = explain_type_error(error, config.to_dict())
        if explanation is None:
            raise
        raise ValueError(explanation) from error
    if not is_main_process():
        return
    if args.submission is not None:
        print(f'{metrics["images"]:.0f} predictions in {args.submission}')
        return
    evaluators = runner.test_evaluator.metrics
    metric = find_metric(evaluators)
    table = None if metric is None else metric.table
    further = extra_scores(metrics, table)
    print(further if table is None else table.to_text())
    if table is not None and further:
        print(', '.join(f'{name} {value:.2f}' for name, value in further.items()))
    if args.json is not None:
        write_scores(
            Path(args.json),
            evaluators,
            metrics,
            config=args.config,
            checkpoint=args.checkpoint,
            branch=config.model.get('eval_branch', 'student'),
            images=len(runner.test_dataloader.dataset),
        )


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    with processes_ended():
        run_command(lambda: test(args))


if __name__ == '__main__':
    main()
