"""Test a checkpoint: IoU of every class and their mean, on clips also temporal consistency, in percent."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from udass.cli import UsageError, add_launcher, add_settings, command, explained_type_errors, new_parser

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.hooks import Hook
    from mmengine.runner import Runner


def parser() -> argparse.ArgumentParser:
    """Of the command line."""
    example = 'test.py configs/streets_quadmix.py work_dirs/streets_quadmix/iter_450.pth'
    result = new_parser('Test a checkpoint: IoU of every class and their mean.', example)
    add = result.add_argument
    add('config', help='config file')
    add('checkpoint', help='checkpoint file')
    add('--show-dir', metavar='DIR', help='write an image per test image: image, prediction, truth')
    add('--branch', choices=('student', 'teacher'), help='network to test (default: as in the config)')
    add('--submission', metavar='OUT.zip', help='write files for the benchmark server; no scores')
    add('--submission-split', default='test', metavar='SPLIT', help='images to submit (default: test)')
    add('--work-dir', help='folder for logs (default: work_dirs/<name of the config>/test)')
    add_settings(result)
    add_launcher(result)
    text = 'write the result to this file as well, and the confusion matrix and the scores of every image to '
    add('--json', metavar='FILE.json', help=text + 'FILE.details.json')
    add('--predictions', metavar='DIR', help='write the predicted class ids of every image as PNG')
    return result


def build_config(args: argparse.Namespace) -> 'Config':
    """The config with everything that the command line changes."""
    from udass.engine.config import load_config
    from udass.evaluation import use_for_submission

    ignored = [f'--{name}' for name in ('json', 'predictions') if getattr(args, name) is not None]
    if args.submission is not None and ignored:
        raise UsageError(f'--submission writes no scores and only its own files: leave {" and ".join(ignored)} out')
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
    config.log_level, config.custom_hooks = 'WARNING', []
    if args.submission is not None:
        use_for_submission(config, args.submission, args.submission_split)
    else:
        write_predictions(config, args.predictions)
    if args.show_dir is not None:
        config.custom_hooks = [{'type': 'PredictionImageHook', 'folder': args.show_dir}]
    return config


def write_predictions(config: 'Config', folder: str | None) -> None:
    """Let the IoU metric of the test write the predicted class ids to ``folder``, named by the paths of the images.

    Raises:
        ValueError: the config does not test with ClassIoUMetric.
    """
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    metrics = [evaluator for evaluator in evaluators if evaluator.get('type') == 'ClassIoUMetric']
    if folder is not None:
        if not metrics:
            kinds = ', '.join(str(evaluator.get('type')) for evaluator in evaluators)
            raise ValueError(f'--predictions needs a ClassIoUMetric in test_evaluator, which has {kinds}')
        metrics[0]['output_dir'] = folder
    for metric in metrics:
        if metric.get('output_dir') is not None and metric.get('image_root') is None:
            folders = image_folders(config.test_dataloader.dataset, config.get('default_scope', 'mmseg'))
            metric['image_root'] = os.path.commonpath(folders) if folders else None


def image_folders(node: Mapping, scope: str) -> list[str]:
    """Absolute paths of the folders of images of a data set, or of those that it joins."""
    from mmengine.registry import init_default_scope
    from mmseg.registry import DATASETS

    parts = node.get('datasets', [node['dataset']] if 'dataset' in node else [])
    if parts:
        return [folder for part in parts for folder in image_folders(part, scope)]
    init_default_scope(scope)
    dataset = DATASETS.build({**node, 'pipeline': [], 'lazy_init': True})
    folder = getattr(dataset, 'data_prefix', {}).get('img_path')
    return [] if folder is None else [os.path.abspath(folder)]


def progress_bar() -> 'Hook':
    """A hook that shows how far the test is."""
    from mmengine.dist import is_main_process
    from mmengine.hooks import Hook
    from tqdm import tqdm

    class ProgressBar(Hook):
        def before_test(self, runner: 'Runner') -> None:
            total = len(runner.test_dataloader)
            self.bar = tqdm(total=total, desc='test', unit='batch', disable=not is_main_process())

        def after_test_iter(self, runner: 'Runner', *batch: object, **outputs: object) -> None:
            self.bar.update()

        def after_test(self, runner: 'Runner') -> None:
            self.bar.close()

    return ProgressBar()


def run(args: argparse.Namespace) -> None:
    """Test, and print the table of scores."""
    from mmengine.dist import is_main_process
    from mmseg.registry import RUNNERS

    from udass.engine.distributed import processes_ended
    from udass.evaluation.iou import extra_scores, find_metric, write_scores

    config = build_config(args)
    with processes_ended(), explained_type_errors(config.to_dict()):
        runner = RUNNERS.build(config)
        runner.register_hook(progress_bar())
        scores = {name: float(value) for name, value in runner.test().items()}
        if not is_main_process():
            return
    if args.submission is not None:
        print(f'{scores["images"]:.0f} predictions in {args.submission}')
        return
    metrics = runner.test_evaluator.metrics
    metric = find_metric(metrics)
    table = None if metric is None else metric.table
    extra = extra_scores(scores, table)
    print(extra if table is None else table.to_text())
    if table is not None and extra:
        print(', '.join(f'{name} {value:.2f}' for name, value in extra.items()))
    if args.json is not None:
        branch = config.model.get('eval_branch', 'student')
        about = {'config': args.config, 'checkpoint': args.checkpoint, 'branch': branch}
        write_scores(Path(args.json), metrics, scores, **about, images=len(runner.test_dataloader.dataset))


main = command(parser, run)

if __name__ == '__main__':
    main()
