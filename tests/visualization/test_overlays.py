import cv2
import numpy as np
import pytest

from udass.visualization import SideBySide, VideoFile, draw_overlay

CLASSES = ('road', 'sky', 'car')
PALETTE = ((128, 64, 128), (70, 130, 180), (0, 0, 142))


def test_an_overlay_mixes_the_class_colours_and_explains_them():
    image = np.full((400, 800, 3), 100, np.uint8)
    ids = np.zeros((400, 800), np.uint8)
    ids[:, 400:] = 2
    picture = draw_overlay(image, ids, CLASSES, PALETTE)
    assert picture.shape[1] == 800 and picture.shape[0] > 400
    assert picture[0, 0].tolist() == [round(0.4 * 100 + 0.6 * value) for value in PALETTE[0]]
    assert picture[0, 799].tolist() == [round(0.4 * 100 + 0.6 * value) for value in PALETTE[2]]
    for colour in PALETTE:
        assert (picture[400:] == colour).all(-1).sum() >= 14 * 14, 'a swatch per class, those that do not occur too'
    assert not (picture[400:] == 0).all(-1).any(), 'predictions ignore nothing'


def test_small_pictures_are_enlarged_so_that_the_legend_is_legible():
    picture = draw_overlay(np.zeros((50, 100, 3), np.uint8), np.zeros((50, 100), np.uint8), CLASSES, PALETTE)
    assert picture.shape[1] == 700 and picture.shape[0] > 350


@pytest.mark.parametrize('size, tile', [((96, 192), (384, 768)), ((1024, 2048), (480, 960)), ((99, 701), (100, 700)),
                                        ((270, 480), (540, 960))])
def test_video_frames_have_even_sides_and_at_most_1920_columns(size, tile):
    draw = SideBySide(size, CLASSES, PALETTE)
    frame = draw(np.full((*size, 3), 50, np.uint8), np.ones(size, np.uint8))
    assert frame.shape[1] == 2 * tile[1] <= 1920 and frame.shape[0] % 2 == 0
    assert draw.tile == tile
    assert frame[0, 0].tolist() == [50] * 3 and frame[0, -1].tolist() == [round(0.4 * 50 + 0.6 * v) for v in PALETTE[1]]


def test_a_video_is_there_when_it_is_complete(tmp_path):
    path = tmp_path / 'new' / 'a.mp4'
    with VideoFile(path, 5) as video:
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
    with pytest.raises(ValueError, match='in the middle'), VideoFile(tmp_path / 'a.mp4', 5) as video:
        video.add(np.zeros((64, 96, 3), np.uint8))
        raise ValueError('in the middle')
    assert list(tmp_path.iterdir()) == []
    with VideoFile(tmp_path / 'b.mp4', 5):
        pass
    assert list(tmp_path.iterdir()) == []
