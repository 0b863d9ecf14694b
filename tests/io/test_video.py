"""Read single frames of video files."""

import os
import re
import shutil

import numpy as np
import pytest
from mmseg.registry import DATASETS

from tests.conftest import PROJECT
from tests.datasets.video import MeanDifference, write_video
from udass.datasets import VideoFile, check_dataset
from udass.engine.config import load_config
from udass.io.images import read_image
from udass.io.video import count_video_frames, frame_path, read_video_frame, split_frame_path


@pytest.fixture(scope='module')
def video(tmp_path_factory) -> str:
    return str(write_video(tmp_path_factory.mktemp('video') / 'drive.avi'))


def grey(frame) -> int:
    """Number of the frame that ``write_video`` drew."""
    assert frame.shape == (48, 64, 3) and frame.dtype == np.uint8
    return round((float(frame.mean()) - 20) / 5)


def test_frames_are_found_in_any_order(video):
    order = [0, 1, 5, 39, 38, 2, 39, 0, 3]
    assert [grey(read_video_frame(video, number)) for number in order] == order
    assert count_video_frames(video) == 40
    assert grey(read_image(frame_path(video, 7))) == 7


def test_names_of_frames():
    assert frame_path('a/b.mp4', 12) == 'a/b.mp4#000012'
    assert split_frame_path('a/b#1.MP4#000012') == ('a/b#1.MP4', 12)
    assert split_frame_path('a/b.png') is None and split_frame_path('a#1/b.mp4') is None


def test_a_video_is_an_unlabelled_target(video):
    flow = dict(type='LoadFlow', estimator=dict(type=MeanDifference))
    pipeline = [dict(type='LoadClip'), flow, dict(type='PackClip')]
    dataset = VideoFile(path=video, classes_from='SynthiaSeq', past=2, every=10, pipeline=pipeline)
    # 0 has no past.
    assert len(dataset) == 3
    sample = dataset[1]
    assert [grey(frame.numpy().transpose(1, 2, 0)) for frame in sample['inputs']] == [20, 19, 18, 17]
    flow = sample['data_samples'].flow.flatten(0, 1)
    assert [round((float(value) - 20) / 5) for value in flow[:, 0, 0]] == [20, 19, 20, 18, 20, 17]
    assert len(VideoFile(path=video, classes_from='SynthiaSeq', test_mode=True)) == 40
    report = check_dataset(VideoFile(path=video, classes_from='SynthiaSeq', every=20, lazy_init=True))
    assert not report.problems and dict(report.sizes) == {(64, 48): 1}


def test_what_is_no_video_is_named(tmp_path, video):
    with pytest.raises(FileNotFoundError, match=r'the video .*none\.mp4 does not exist'):
        VideoFile(path=str(tmp_path / 'none.mp4'), classes_from='Viper')
    (tmp_path / 'text.mp4').write_text('no video')
    with pytest.raises(ValueError, match=r'text\.mp4 cannot be opened as a video.*ffmpeg'):
        VideoFile(path=str(tmp_path / 'text.mp4'), classes_from='Viper')
    with pytest.raises(ValueError, match=r'frame 40 \(counted from 0\) of .*drive\.avi cannot be decoded'):
        read_video_frame(video, 40)
    assert grey(read_video_frame(video, 3)) == 3
    with pytest.raises(ValueError, match='every must be 1 or larger, got 0'):
        VideoFile(path=video, every=0, classes_from='Viper')


def test_names_that_are_not_utf_8(video, tmp_path):
    path = str(tmp_path / os.fsdecode(b'\xe9.avi'))
    shutil.copy(video, path)
    assert count_video_frames(path) == 40 and grey(read_image(frame_path(path, 12))) == 12
    assert len(VideoFile(path=path, classes_from='SynthiaSeq', test_mode=True)) == 40


def test_the_video_of_the_documentation(video, tmp_path, monkeypatch):
    """Its config builds, and gives samples of the size of the crop."""
    text = (PROJECT / 'docs' / 'add_a_dataset.md').read_text()
    blocks = [block for block in re.findall(r'```python\n(.*?)```', text, re.DOTALL) if "type='VideoFile'" in block]
    assert len(blocks) == 1
    (tmp_path / 'data').mkdir()
    shutil.copy(video, tmp_path / 'data' / 'drive.mp4')
    path = tmp_path / 'config.py'
    path.write_text(blocks[0].replace("'streets_video", f"'{PROJECT}/configs/streets_video"))
    config = load_config(path)
    monkeypatch.chdir(tmp_path)
    dataset = DATASETS.build(config.train_dataloader.target.dataset)
    assert len(dataset) == 7
    sample = dataset[0]
    assert sample['inputs'].shape == (2, 3, 128, 192) and sample['data_samples'].flow.shape == (1, 2, 128, 192)
