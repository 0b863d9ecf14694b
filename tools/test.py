"""Tests a checkpoint: IoU of every class and their mean, in percent.

    python tools/test.py configs/streets_quadmix.py work_dirs/streets_quadmix/iter_450.pth --show-dir pictures

With --submission it writes what the server of the benchmark takes instead, by default for the split `test`.
"""
import argparse
import json
import os
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from udass.engine.checkpoint import atomic_target
from udass.engine.command import run_command
from udass.engine.config import explain_type_error, load_config
from udass.engine.processes import processes_ended
from udass.evaluation import ClassIoUMetric, IoUTable, use_for_submission


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a checkpoint: IoU of every class and their mean.')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--show-dir', metavar='DIR', help='write a picture per image: image, prediction, truth')
    parser.add_argument('--branch', choices=('student', 'teacher'), help='network to test (default: as in the config)')
    parser.add_argument('--submission', metavar='OUT.zip', help='write files for the benchmark server; no scores')
    parser.add_argument('--submission-split', default='test', metavar='SPLIT', help='images to submit (default: test)')
    parser.add_argument('--work-dir', help='folder for logs (default: work_dirs/<name of the config>/test)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    parser.add_argument('--launcher', choices=('none', 'pytorch', 'slurm'), default='none', help='how processes start')
    parser.add_argument('--json', metavar='FILE', help='write the result to this file as well')
    parser.add_argument('--debug', action='store_true', help='show tracebacks of errors')
    return parser.parse_args(arguments)


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
    if args.show_dir is not None:
        config.custom_hooks = [{'type': 'PredictionPictureHook', 'folder': args.show_dir}]
    return config


def result_table(runner: Runner) -> IoUTable | None:
    """The table of the runner's IoU metric, None where the config measures something else."""
    metrics = runner.test_evaluator.metrics
    return next((metric.table for metric in metrics if isinstance(metric, ClassIoUMetric)), None)


def test(args: argparse.Namespace) -> None:
    config = build_config(args)
    try:
        runner = RUNNERS.build(config)
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
    table = result_table(runner)
    print(metrics if table is None else table.to_text())
    if args.json is not None:
        result = {'config': args.config, 'checkpoint': args.checkpoint,
                  'branch': config.model.get('eval_branch', 'student'), 'images': len(runner.test_dataloader.dataset),
                  **(metrics if table is None else table.to_dict())}
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        with atomic_target(Path(args.json)) as temporary:
            temporary.write_text(json.dumps(result, indent=1) + '\n')


def main() -> None:
    args = parse_args()
    if args.debug:
        os.environ['UDASS_DEBUG'] = '1'
    with processes_ended():
        run_command(lambda: test(args))


if __name__ == '__main__':
    main()
