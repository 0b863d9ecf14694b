import cv2
import numpy as np
import pytest
import torch

from udass.visualization.canvas import (
    IGNORED,
    PAPER,
    colour_labels,
    colour_scale,
    legend,
    overlay_labels,
    resize,
    save_image,
    text_width,
    wrap,
)
from udass.visualization.panels import draw_comparison, draw_training_panel

CLASSES = ('road', 'a class with a long name', 'sky')
PALETTE = ((128, 64, 128), (10, 200, 30), (70, 130, 180))


def panel(value, count=2, confidence=False):
    frames = torch.full((count, 1, 3, 20, 40), float(value))
    return {
        'frames': frames,
        'labels': torch.full((count, 1, 20, 40), 2),
        'weights': torch.ones(count, 1, 20, 40),
        'confidence': torch.rand(count, 1, 20, 40) if confidence else None,
        'flow': None,
    }


def shares(picture, colour):
    return (picture == np.array(colour)).all(-1).mean()


def test_labels_get_their_colours_and_ignored_pixels_none():
    labels = np.array([[0, 1], [2, 255]])
    assert colour_labels(labels, PALETTE).tolist() == [
        [list(PALETTE[0]), list(PALETTE[1])],
        [list(PALETTE[2]), list(IGNORED)],
    ]
    image = np.full((2, 2, 3), 100, np.uint8)
    overlay = overlay_labels(image, labels, PALETTE, opacity=0.5)
    assert overlay[0, 0].tolist() == [114, 82, 114] and overlay[1, 1].tolist() == [100, 100, 100]


def test_the_colour_scale_rises_from_dark_to_yellow():
    colours = colour_scale(np.array([[0.0, 0.5, 1.0, 2.0]]))[0].astype(int)
    assert colours[0].tolist() == [68, 1, 84] and colours[2].tolist() == colours[3].tolist() == [253, 231, 37]
    assert colours[0].sum() < colours[1].sum() < colours[2].sum()


def test_labels_grow_without_new_colours():
    picture = colour_labels(np.array([[0, 1]]), PALETTE)
    assert {tuple(pixel) for pixel in resize(picture, 7, 31).reshape(-1, 3).tolist()} == set(PALETTE[:2])


def test_a_training_panel_has_a_row_per_image_and_all_passes():
    panels = {'source': panel(50), 'tss': panel(90), 'tst': panel(130), 'target': panel(170, confidence=True)}
    picture = draw_training_panel(panels, CLASSES, PALETTE)
    tile_width, tile_height = 240, 120
    # source 2, target 3, two mixed images 2 each; 2 rows, titles, scale, legend.
    assert picture.shape[1] == 6 + 9 * (tile_width + 6)
    assert picture.shape[0] > 28 + 2 * (tile_height + 6)
    for value in (50, 90, 130, 170):
        assert shares(picture, (value,) * 3) * picture.size / 3 >= 2 * tile_width * tile_height
    # Target comes before the mixed passes although the model handed it over last.
    row = picture[38 + tile_height // 2]
    order = [int(np.flatnonzero((row == value).all(-1))[0]) for value in (50, 170, 90, 130)]
    assert order == sorted(order)
    assert draw_training_panel(panels, CLASSES, PALETTE, max_images=1).shape[0] == picture.shape[0] - tile_height - 6


def test_a_target_without_pseudo_labels_is_shown_alone():
    picture = draw_training_panel({'source': panel(50), 'target': panel(90)}, CLASSES, PALETTE)
    assert picture.shape[1] == 6 + 3 * (240 + 6)


def test_batches_of_different_sizes_leave_places_empty():
    picture = draw_training_panel({'source': panel(50, count=1), 'target': panel(90, count=3)}, CLASSES, PALETTE)
    column = picture[:, 6 + 120]
    assert (column == 50).all(-1).sum() == 120
    assert (picture[28 + 126 + 60, 6 + 120] == PAPER).all()


def test_nothing_to_draw_is_an_error():
    with pytest.raises(ValueError, match='must call its pass hooks'):
        draw_training_panel({}, CLASSES, PALETTE)


def test_a_comparison_shows_every_column_and_the_legend():
    image = np.full((30, 60, 3), 99, np.uint8)
    labels = {'source-only': [np.zeros((30, 60), int)], 'truth': [np.full((30, 60), 2)]}
    picture = draw_comparison([image], labels, CLASSES, PALETTE, tile_width=100)
    assert picture.shape[1] >= 6 + 3 * 106
    for colour in ((99, 99, 99), PALETTE[0], PALETTE[2]):
        assert shares(picture, colour) * picture.size / 3 >= 100 * 50


def test_nothing_is_cut_off():
    for width in (60, 200, 900):
        picture = legend(CLASSES, PALETTE, width)
        assert picture.shape[1] == width
        assert all(shares(picture, colour) > 0 for colour in (*PALETTE, IGNORED))
        if width >= 200:
            assert (picture[:, -1] == PAPER).all() and (picture[-1] == PAPER).all()
    lines = wrap('TSS: target into source ' + 'x' * 30, 80, 14)
    assert all(text_width(line, 14) <= 80 for line in lines)
    assert ''.join(lines).replace(' ', '') == 'TSS:targetintosource' + 'x' * 30


def test_pictures_are_written_as_rgb(tmp_path):
    picture = np.zeros((2, 3, 3), np.uint8)
    picture[..., 0] = 200
    save_image(tmp_path / 'new' / 'a.png', picture)
    assert cv2.imread(str(tmp_path / 'new' / 'a.png'))[..., ::-1].tolist() == picture.tolist()
