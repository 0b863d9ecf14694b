"""Test a checkpoint: IoU of every class and their mean, on clips also temporal consistency, in percent."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import udass.io.quiet_import  # noqa: F401  # isort: skip
from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.registry import DATASETS, RUNNERS

from udass.cli import UsageError, explained_type_errors
from udass.cli.progress import ProgressHook
from udass.engine.config import config_name, load_config
from udass.engine.diagnostics.batch_norm import estimate_statistics, target_loader
from udass.engine.distributed import processes_ended
from udass.evaluation import use_for_submission
from udass.evaluation.iou import extra_scores, find_metric, write_scores
from udass.inference.tta import MeanOfViews, add_views
from udass.uda.networks import unwrap


def test(
    config: str | Path | Config,
    checkpoint: str | Path,
    *,
    options: Mapping[str, object] | None = None,
    branch: str | None = None,
    work_dir: str | Path | None = None,
    launcher: str = 'none',
    tta: Sequence[float] | None = None,
    out: str | Path | None = None,
    predictions: str | Path | None = None,
    json: str | Path | None = None,
    submission: str | Path | None = None,
    submission_split: str = 'test',
    target_statistics: int | None = None,
) -> dict:
    """Test a checkpoint, and print the table of scores.

    Args:
        config: a config file, the name of a published config, or a config that was read.
        checkpoint: a file of a training, or of one bare segmentor.
        options: settings that replace those of the config: dotted key -> value.
        branch: ``'student'`` or ``'teacher'``; None is as in the config.
        work_dir, launcher: see `udass.train`; the default work dir is ``work_dirs/<name of the config>/test``.
        tta: average over each image and its mirror image, at these sizes relative to that of the config.
        out: folder for an image per test image, which shows image, prediction and truth.
        predictions: folder for the predicted class ids of every image, as PNG.
        json: file for the result; the confusion matrix and the scores of every image go to ``*.details.json``, its
            pixel counts to ``*.counts.npz``.
        submission: zip file for the benchmark server to write, without scores, and ``submission_split`` its images.
        target_statistics: first give batch norm the statistics of so many training batches of the target.

    Returns:
        dict: in percent ``mIoU``, ``IoU`` (class -> value) and more; empty without scores and in all processes but one.

    Raises:
        ValueError: the config has nothing to test on, or these arguments do not go together.
    """
    check_arguments(predictions, json, submission, target_statistics)
    settings = build_config(config, checkpoint, options, branch, work_dir, launcher)
    choose_outputs(settings, tta, out, predictions, submission, submission_split)
    with processes_ended(), explained_type_errors(settings.to_dict()):
        runner = RUNNERS.build(settings)
        prepare_model(runner, target_statistics, average_views=tta is not None)
        if is_main_process():
            runner.register_hook(ProgressHook(sys.stderr))
        scores = {name: float(value) for name, value in runner.test().items()}
        if not is_main_process():
            return {}
    if submission is not None:
        print(f'{scores["images"]:.0f} predictions in {submission}')
        return {}
    if json is not None:
        branch, images = settings.model.get('eval_branch', 'student'), len(runner.test_dataloader.dataset)
        about = {'config': str(config), 'checkpoint': str(checkpoint), 'branch': branch, 'images': images}
        about |= {} if target_statistics is None else {'target_statistics': target_statistics}
        write_scores(Path(json), runner.test_evaluator.metrics, scores, **about)
    return printed_scores(runner.test_evaluator.metrics, scores)


def check_arguments(
    predictions: str | Path | None,
    json: str | Path | None,
    submission: str | Path | None,
    target_statistics: int | None,
) -> None:
    """UsageError if these arguments of `test` do not go together, or there is to be no batch for the statistics."""
    if submission is not None and (json is not None or predictions is not None):
        given = ' and '.join(f'--{name}' for name, value in (('json', json), ('predictions', predictions)) if value)
        raise UsageError(f'--submission writes no scores and only its own files: leave {given} out')
    if target_statistics is not None and target_statistics < 1:
        raise UsageError(f'--target-statistics must be at least 1 batch, got {target_statistics}')


def choose_outputs(
    settings: Config,
    tta: Sequence[float] | None,
    out: str | Path | None,
    predictions: str | Path | None,
    submission: str | Path | None,
    submission_split: str,
) -> None:
    """Put what is shown to the network and what is written into the config of a test; see `test`."""
    if submission is not None:
        use_for_submission(settings, str(submission), submission_split)
    else:
        write_predictions(settings, None if predictions is None else str(predictions))
    if tta is not None:
        settings.test_dataloader.dataset = add_views(settings.test_dataloader.dataset, list(tta) or [1.0])
    if out is not None:
        settings.custom_hooks = [{'type': 'PredictionImageHook', 'folder': str(out)}]


def prepare_model(runner: Runner, target_statistics: int | None, average_views: bool) -> None:
    """Load the weights, estimate statistics of batch norm from so many batches of the target, and let a runner whose
    data come in several views average the predictions for them."""
    if target_statistics is None and not average_views:
        return
    # The loop is built, and weights are loaded, for the model itself.
    runner.test_loop  # noqa: B018
    runner.load_or_resume()
    if target_statistics is not None:
        estimate_statistics(unwrap(runner.model), target_loader(runner), target_statistics)
    if average_views:
        runner.model = MeanOfViews(runner.model)


def printed_scores(metrics: Sequence[BaseMetric], scores: Mapping[str, float]) -> dict:
    """The scores of a test, which are printed as a table."""
    metric = find_metric(metrics)
    table = None if metric is None else metric.table
    extra = extra_scores(scores, table)
    print(extra if table is None else table.to_text())
    if table is None:
        return extra
    if extra:
        print(', '.join(f'{name} {value:.2f}' for name, value in extra.items()))
    return {**table.to_dict(), **extra}


def build_config(
    source: str | Path | Config,
    checkpoint: str | Path,
    options: Mapping[str, object] | None = None,
    branch: str | None = None,
    work_dir: str | Path | None = None,
    launcher: str = 'none',
) -> Config:
    """The config of a test with what these arguments of `test` change."""
    config = load_config(source, options)
    name = config_name(source)
    if config.get('test_dataloader') is None or config.get('test_evaluator') is None:
        raise ValueError(f'{name} has no test_dataloader and test_evaluator: add both, or test with another config')
    if config.get('test_cfg') is None:
        config.test_cfg = {'type': 'TestLoop'}
    config.work_dir = str(work_dir or Path('work_dirs') / name / 'test')
    config.launcher = launcher
    config.load_from, config.resume = str(checkpoint), False
    if branch is not None:
        config.model['eval_branch'] = branch
    # The table is the output; what training logs besides would bury it.
    config.log_level, config.custom_hooks = 'WARNING', []
    return config


def write_predictions(config: Config, folder: str | None) -> None:
    """Let the IoU metric of the test write the predicted class ids to ``folder``, named by the paths of the images;
    ValueError if the config does not test with ClassIoUMetric."""
    evaluators = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    metrics = [evaluator for evaluator in evaluators if evaluator.get('type') == 'ClassIoUMetric']
    if folder is not None:
        if not metrics:
            kinds = ', '.join(str(evaluator.get('type')) for evaluator in evaluators)
            raise ValueError(f'--predictions needs a ClassIoUMetric in test_evaluator, which has {kinds}: add one')
        metrics[0]['output_dir'] = folder
    for metric in metrics:
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


def run(args: argparse.Namespace) -> None:
    """``udass test``."""
    names = ('branch', 'work_dir', 'launcher', 'tta', 'out', 'predictions', 'json', 'submission', 'submission_split')
    names += ('target_statistics',)
    test(args.config, args.checkpoint, options=args.cfg_options, **{name: getattr(args, name) for name in names})
