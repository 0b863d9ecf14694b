import numpy as np

from udass.visualization import draw_overlay

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
