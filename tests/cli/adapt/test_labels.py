"""Classes from ids, palettes, files of names and tables of colours."""

import cv2
import numpy as np
import pytest

from tests.cli.adapt.files import stripes, write_colours, write_folder, write_ids, write_image
from udass.cli.adapt.folders import find_labelled
from udass.cli.adapt.labels import (
    classes_are_colours,
    colour_map,
    convert_colours,
    count_classes,
    examine_all,
    find_classes,
    read_class_file,
)

ROAD, CAR, VOID = (128, 64, 128), (0, 0, 142), (0, 0, 0)


def look(root, file=None, by_colour=False):
    """Folder, classes and pixels by file and class."""
    folder = find_labelled(root)
    findings = examine_all(folder, by_colour)
    classes = find_classes(folder, findings, file, by_colour or classes_are_colours(folder, findings))
    return folder, classes, count_classes(folder, findings, classes)


def test_ids_are_counted_and_get_names_and_colours(tmp_path):
    _, classes, pixels = look(write_folder(tmp_path, values=(0, 1, 2, 255)))
    assert classes.names == ('class_0', 'class_1', 'class_2') and classes.table == {255: 255, 0: 0, 1: 1, 2: 2}
    # Stripes of 6 columns of 16 rows; 255 is no class.
    assert pixels.tolist() == [[96, 96, 96]] * 3
    assert str(tmp_path / 'classes.txt') in classes.origin


def test_the_colours_of_a_palette_are_kept(tmp_path):
    _, classes, _ = look(write_folder(tmp_path, values=(0, 1), palette=[ROAD, CAR]))
    assert classes.palette == [list(ROAD), list(CAR)] and classes.names == ('class_0', 'class_1')


def test_a_file_names_the_ids_in_its_lines(tmp_path):
    write_folder(tmp_path, values=(0, 1, 3))
    (tmp_path / 'classes.txt').write_text('ignore\nroad 128 64 128\ntraffic light\ncar\n')
    _, classes, pixels = look(tmp_path, tmp_path / 'classes.txt')
    assert classes.names == ('road', 'traffic light', 'car')
    assert classes.table == {255: 255, 0: 255, 1: 0, 2: 1, 3: 2}
    assert classes.palette == [list(ROAD), *colour_map(3)[1:]]
    assert pixels.tolist() == [[128, 0, 128]] * 3


def test_colours_become_ids(tmp_path):
    for number in range(2):
        write_image(tmp_path / f'{number}.jpg')
        write_colours(tmp_path / f'{number}.png', (VOID, CAR, ROAD))
    table = tmp_path / 'colors.txt'
    table.write_text('road 128 64 128\ncar 0,0,142\nignore 0 0 0\n')
    folder, classes, pixels = look(tmp_path, table, by_colour=True)
    assert classes.names == ('road', 'car') and pixels.tolist() == [[128, 128]] * 2
    converted = convert_colours(folder, classes, tmp_path / 'out')
    label = cv2.imread(converted.paths()[1][1], cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(label, stripes((255, 1, 0)))
    assert converted.paths()[1] == (str(tmp_path / '1.jpg'), str(tmp_path / 'out' / '1.png'))


def test_colours_may_stand_in_the_file_of_classes(tmp_path):
    write_image(tmp_path / '1.jpg')
    write_colours(tmp_path / '1.png', (CAR, ROAD))
    (tmp_path / 'classes.txt').write_text('road 128 64 128\ncar 0 0 142\n')
    _, classes, pixels = look(tmp_path, tmp_path / 'classes.txt')
    assert classes.coloured and pixels.tolist() == [[192, 192]]


def test_masks_of_0_and_255_are_read_as_colours(tmp_path):
    write_folder(tmp_path, values=(0, 255))
    with pytest.raises(ValueError, match=r'hold the ids 0, 255, .*"background 0 0 0" and "object 255 255 255"'):
        look(tmp_path)
    (tmp_path / 'colors.txt').write_text('background 0 0 0\nobject 255 255 255\n')
    _, classes, pixels = look(tmp_path, tmp_path / 'colors.txt', by_colour=True)
    assert classes.names == ('background', 'object') and pixels.tolist() == [[192, 192]] * 3


def test_colours_without_a_table_are_listed_in_the_message(tmp_path):
    write_image(tmp_path / '1.jpg')
    write_colours(tmp_path / '1.png', (CAR, ROAD))
    with pytest.raises(ValueError, match=r'1\.png: write a file with (.|\n)*class_0 0 0 142\nclass_1 128 64 128'):
        look(tmp_path)


@pytest.mark.parametrize(
    ('values', 'names', 'message'),
    [
        ((0, 7, 8), None, r'hold the ids 0, 7, 8, .* Write .*classes\.txt with a name per line'),
        ((1, 2), None, r'hold the ids 1, 2'),
        ((0, 1, 5), 'a\nb\nc\n', r'labels/0\.png holds the id 5 \(128 pixels\), which is none of the 3 classes'),
        ((0, 1), 'a\na\n', r'classes\.txt names a twice'),
        ((0, 1), 'a\n', r'classes\.txt names 1 class: two or more'),
        ((0, 1), '\n', r'classes\.txt names no class'),
        ((0, 1), 'road 300 0 0\n', r'line 1: expected a name and r g b of 0 to 255'),
        ((0, 0), 'ignore\na\nb\n', r'no pixel of the labels in .* has a class'),
    ],
)
def test_what_does_not_say_the_classes_is_named(values, names, message, tmp_path):
    write_folder(tmp_path, values=values)
    if names is not None:
        (tmp_path / 'classes.txt').write_text(names)
    with pytest.raises(ValueError, match=message):
        look(tmp_path, None if names is None else tmp_path / 'classes.txt')


def test_labels_that_cannot_be_used_are_named(tmp_path):
    write_folder(tmp_path)
    write_ids(tmp_path / 'labels' / '1.png', (0, 1, 2), size=(8, 12))
    with pytest.raises(ValueError, match=r'labels/1\.png is 12x8 pixels, its image .*images/1\.png 24x16'):
        look(tmp_path)
    write_image(tmp_path / 'labels' / '1.png')
    with pytest.raises(ValueError, match=r'labels/1\.png holds 3\d\d different colours, too many for classes'):
        look(tmp_path)
    write_colours(tmp_path / 'labels' / '1.png', (CAR, ROAD))
    with pytest.raises(ValueError, match=r'labels/1\.png holds colours, .*labels/0\.png ids'):
        look(tmp_path)
    table = tmp_path / 'colors.txt'
    table.write_text('road 128 64 128\ncar 0 0 142\n')
    with pytest.raises(ValueError, match=r'labels/0\.png holds the colour \[0, 0, 0\] \(128 pixels\)'):
        look(tmp_path, table, by_colour=True)
    table.write_text('road 128 64 128\ncar\n')
    with pytest.raises(ValueError, match=r'colors\.txt has no colour for car: expected "car r g b"'):
        look(tmp_path, table, by_colour=True)
    table.write_text('road 128 64 128\ncar 128 64 128\n')
    with pytest.raises(ValueError, match='gives two classes the same colour'):
        look(tmp_path, table, by_colour=True)
    with pytest.raises(FileNotFoundError, match=r'gone\.txt does not exist; expected a file with a line per class'):
        read_class_file(tmp_path / 'gone.txt')


def test_colours_differ_and_none_is_black():
    colours = colour_map(254)
    assert len(set(map(tuple, colours))) == 254 and [0, 0, 0] not in colours
    # The first ones of PASCAL VOC after its black background.
    assert colours[:3] == [[128, 0, 0], [0, 128, 0], [128, 128, 0]]
