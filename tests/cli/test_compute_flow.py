"""The tool that computes flow ahead of training."""

import multiprocessing
import os
import signal
import time
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS, MODELS

from tests.cli.calls import call
from udass.cli import UsageError
from udass.cli.data import flow as flow_command
from udass.cli.main import main
from udass.flow import numbered_pairs, write_flow


def write_frames(folder, number, size=(32, 48)):
    folder.mkdir()
    for index in range(number):
        image = np.random.default_rng(index).integers(0, 255, (*size, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f'{index:05d}.png'), image)


class ToyClips:
    """A data set of clips as far as the tool is concerned. The second of its transforms loads the flow."""

    def __init__(self, frames, flow, size=(32, 48)):
        self.frames = frames
        flow = SimpleNamespace(cache=MODELS.build(flow))
        self.pipeline = SimpleNamespace(transforms=[lambda results: {**results, 'img': np.zeros((*size, 3))}, flow])

    def get_data_info(self, index):
        return {'img_path': self.flow_pairs()[index][0]}

    def flow_pairs(self):
        return numbered_pairs(self.frames)


@pytest.fixture(autouse=True)
def registered():
    DATASETS.register_module(module=ToyClips)
    yield
    DATASETS.module_dict.pop('ToyClips')


@pytest.fixture
def frames(tmp_path):
    write_frames(tmp_path / 'frames', 4)
    return tmp_path / 'frames'


compute = partial(call, flow_command)


def write_config(path, frames, flow, **options):
    dataset = dict(type='ToyClips', frames=str(frames), flow=flow, **options)
    wrapped = dict(type='RepeatDataset', times=2, dataset=dataset)
    path.write_text(
        f'train_dataloader = dict(source=dict(dataset={wrapped!r}))\nval_dataloader = dict(dataset={dataset!r})\n'
    )
    return path


def test_a_folder_of_frames(frames, tmp_path, capsys):
    arguments = ('--frames', frames, '--cache', tmp_path / 'flow', '--size', 40, 64, '--steps', 1, 2, '--workers', 2)
    assert compute(*arguments).computed == 5
    assert len(list((tmp_path / 'flow/dis_medium/64x40').rglob('0000[123]_0000[012]_*.png'))) == 5
    capsys.readouterr()
    report = compute(*arguments)
    assert (report.computed, report.present) == (0, 5)
    assert f'0 computed in 0 s, 5 were there: {tmp_path}/flow' in capsys.readouterr().out


def test_a_config(frames, tmp_path, capsys):
    """Wrapped data sets are found; two that need the same flow share it."""
    flow = dict(type='FlowCache', folder=str(tmp_path / 'flow'), estimator=dict(type='DISFlow', preset='ultrafast'))
    config = write_config(tmp_path / 'config.py', frames, flow, size=[36, 50])
    assert compute(config, '--workers', 1).computed == 3
    assert len(list((tmp_path / 'flow/dis_ultrafast/50x36').rglob('*.png'))) == 3
    printed = capsys.readouterr().out
    assert 'train_dataloader.source.dataset: ToyClips, 3 pairs of frames' in printed
    assert 'val_dataloader: ToyClips, 3 pairs of frames' in printed


def test_problems_end_with_status_1(frames, tmp_path, capsys):
    (frames / '00003.png').write_bytes(b'damaged')
    with pytest.raises(SystemExit) as end:
        compute('--frames', frames, '--cache', tmp_path / 'flow')
    assert end.value.code == 1
    printed = capsys.readouterr().out
    assert '00003.png (7 bytes) cannot be decoded' in printed
    assert '2 computed' in printed


def test_a_config_with_precomputed_flow_is_checked(frames, tmp_path, capsys):
    write_flow(frames / '00001_00000.flo', np.zeros((2, 2, 2)))
    flow = dict(type='PrecomputedFlow', naming='{current}_{other}.flo')
    with pytest.raises(SystemExit):
        compute(write_config(tmp_path / 'config.py', frames, flow))
    printed = capsys.readouterr().out
    assert f'flow file {frames}/00003_00002.flo does not exist' in printed
    assert '0 computed in 0 s, 1 were there: beside the frames' in printed


def test_configs_without_anything_to_do_say_so(frames, tmp_path):
    with pytest.raises(ValueError, match='source.dataset.dataset: the flow is computed in every epoch.* no folder'):
        compute(write_config(tmp_path / 'config.py', frames, dict(type='FlowCache')))
    (tmp_path / 'images.py').write_text('train_dataloader = dict(dataset=dict(type="RepeatDataset"))\n')
    with pytest.raises(ValueError, match='no data set of .*images.py has clips whose flow is loaded'):
        compute(tmp_path / 'images.py')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ([], 'give a config or --frames FOLDER'),
        (['config.py', '--frames', 'x'], 'give a config or --frames FOLDER'),
        (['--frames', 'x', '--checkpoint', 'raft.pth'], 'DIS has no weights'),
    ],
)
def test_arguments_that_do_not_go_together(arguments, message):
    with pytest.raises(UsageError, match=message):
        compute(*arguments)


@pytest.mark.slow
def test_ctrl_c_and_again(tmp_path, capfd):
    """Stopped in the middle it leaves whole files only, and the same command ends the work."""
    write_frames(tmp_path / 'frames', 120, size=(200, 300))
    arguments = ('--frames', str(tmp_path / 'frames'), '--cache', str(tmp_path / 'flow'), '--workers', '1')
    process = multiprocessing.get_context('fork').Process(target=main, args=(['flow', *arguments],))
    process.start()
    deadline = time.monotonic() + 120
    while not list((tmp_path / 'flow').rglob('*.png')) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    process.join(120)
    said = capfd.readouterr()
    assert process.exitcode == 130, said.err
    assert 'the same command goes on from here' in said.out
    done = len(list((tmp_path / 'flow').rglob('*.png')))
    assert 1 <= done < 119
    assert not list((tmp_path / 'flow').rglob('*.part'))
    again = compute(*arguments)
    assert (again.computed, again.present) == (119 - done, done)
