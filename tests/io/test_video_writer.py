"""Write H.264 videos."""

import os

import av
import cv2
import numpy as np
import pytest

from udass.io.images import read_image
from udass.io.video import count_video_frames, frame_path
from udass.io.video_writer import VideoWriter


@pytest.mark.parametrize(
    'size, written', [((64, 96), (64, 96)), ((99, 701), (100, 702)), ((1, 1), (2, 2)), ((1080, 1920), (1080, 1920))]
)
def test_a_video_has_the_size_of_its_frames(size, written, tmp_path):
    with VideoWriter(tmp_path / 'a.mp4', 25) as video:
        for _ in range(2):
            video.add(np.full((*size, 3), 90, np.uint8))
        with pytest.raises(ValueError, match='does not fit into .*a.mp4'):
            video.add(np.zeros((size[0] + 2, size[1], 3), np.uint8))
    reader = cv2.VideoCapture(str(tmp_path / 'a.mp4'))
    assert reader.read()[1].shape == (*written, 3)


@pytest.mark.parametrize('rate', [5, 12.5, 29.97, 30000 / 1001, 59.94])
def test_a_video_is_h264_that_browsers_play(rate, tmp_path):
    """H.264 of 8 bits with four colour samples per eight pixels, in MP4 with its index at the start."""
    with VideoWriter(tmp_path / 'a.mp4', rate) as video:
        for value in range(10):
            video.add(np.full((64, 96, 3), 20 * value, np.uint8))
    with av.open(str(tmp_path / 'a.mp4')) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ('h264', 'yuv420p')
        assert stream.frames == 10 and float(stream.average_rate) == pytest.approx(rate, rel=1e-5)
    content = (tmp_path / 'a.mp4').read_bytes()
    assert b'avc1' in content and 0 < content.find(b'moov') < content.find(b'mdat')


def test_a_video_may_have_a_name_that_is_not_utf_8(tmp_path):
    path = tmp_path / os.fsdecode(b'f\xfc\xdf') / os.fsdecode(b'\xe9.mp4')
    with VideoWriter(path, 5) as video:
        for value in range(4):
            video.add(np.full((64, 96, 3), 60 * value, np.uint8))
    assert count_video_frames(str(path)) == 4
    assert abs(int(read_image(frame_path(str(path), 2)).mean()) - 120) < 6


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match='file'), VideoWriter(tmp_path / 'file' / 'a.mp4', 5) as video:
        video.add(np.zeros((64, 96, 3), np.uint8))


def test_a_video_is_there_when_it_is_complete(tmp_path):
    path = tmp_path / 'new' / 'a.mp4'
    with VideoWriter(path, 5) as video:
        for value in (0, 120, 240):
            video.add(np.full((64, 96, 3), (value, 0, 0), np.uint8))
        assert not path.exists()
    reader = cv2.VideoCapture(str(path))
    frames = [reader.read()[1] for _ in range(3)]
    assert not reader.read()[0] and reader.get(cv2.CAP_PROP_FPS) == 5
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3
    # OpenCV reads blue first; the codec loses a little.
    assert np.allclose(frames[2].mean((0, 1)), (0, 0, 240), atol=12)


def test_an_error_leaves_no_half_video(tmp_path):
    with pytest.raises(ValueError, match='in the middle'), VideoWriter(tmp_path / 'a.mp4', 5) as video:
        video.add(np.zeros((64, 96, 3), np.uint8))
        raise ValueError('in the middle')
    assert list(tmp_path.iterdir()) == []
    with VideoWriter(tmp_path / 'b.mp4', 5):
        pass
    assert list(tmp_path.iterdir()) == []
