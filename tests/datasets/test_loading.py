"""Reading files: exact values, and one clear message for each way in which a file can be wrong."""

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from udass.datasets.transforms import LoadImage, LoadLabels
from udass.errors import DamagedFileError
from udass.io import images
from udass.io.images import is_rotated, read_image
from udass.io.labels import map_labels, read_label_ids
from udass.io.zip_files import files_below

IDENTITY = {0: 0, 1: 1, 2: 2, 255: 255}


def photo(height=64, width=96):
    """A smooth colour image, (H, W, 3) uint8 BGR."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x * 2, y * 3, 255 - x - y], axis=-1).clip(0, 255).astype(np.uint8)


def label_results(tmp_path, labels, *, table=None, **changes):
    path = str(tmp_path / 'label.png')
    assert cv2.imwrite(path, labels)
    shape = labels.shape[:2]
    results = dict(img_path='image.png', seg_map_path=path, label_table=table or IDENTITY, ori_shape=shape)
    return {**results, **changes}


def test_images_are_bgr_and_exact(tmp_path):
    path = str(tmp_path / 'a.png')
    Image.fromarray(photo()[..., ::-1].copy()).save(path)  # Pillow writes RGB
    results = LoadImage()(dict(img_path=path))
    np.testing.assert_array_equal(results['img'], photo())
    assert results['img_shape'] == results['ori_shape'] == (64, 96)


def test_an_orientation_tag_does_not_rotate_the_image_away_from_its_label(tmp_path):
    path = str(tmp_path / 'a.jpg')
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    Image.fromarray(photo()).save(path, exif=exif)
    assert read_image(path).shape == (64, 96, 3) and is_rotated(path)
    assert read_image(path, upright=True).shape == (96, 64, 3)


@pytest.mark.parametrize(
    'suffix, reason',
    [('.jpg', 'truncated or not an image'), ('.png', 'truncated, or differs from the checksums in it')],
)
def test_truncated_image(tmp_path, suffix, reason):
    path = tmp_path / f'a{suffix}'
    content = cv2.imencode(suffix, photo())[1].tobytes()
    message = rf'a\{suffix} \(\d+ bytes\) cannot be decoded: it is {reason}\. The file is damaged: copy or download it'
    for share in (0.2, 0.6, 0.97):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DamagedFileError, match=message):
            read_image(str(path))


def test_a_cut_jpeg_is_found_even_if_the_decoder_fills_it_with_grey(tmp_path, monkeypatch):
    content = cv2.imencode('.jpg', photo())[1].tobytes()
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: np.full((64, 96, 3), 128, np.uint8))
    # With the end marker of an embedded preview before the image itself.
    comment = b'\xff\xfe\x00\x06\xff\xda\xff\xd9'
    (tmp_path / 'a.jpg').write_bytes(content[:2] + comment + content[2:-40])
    with pytest.raises(ValueError, match='truncated'):
        read_image(str(tmp_path / 'a.jpg'))


def test_a_jpeg_with_something_behind_its_end_is_fine(tmp_path):
    content = cv2.imencode('.jpg', photo())[1].tobytes()
    (tmp_path / 'a.jpg').write_bytes(content + b'\x00' * 100)
    assert read_image(str(tmp_path / 'a.jpg')).shape == (64, 96, 3)


@pytest.mark.parametrize('read', [read_image, read_label_ids])
def test_missing_empty_and_foreign_files(tmp_path, read):
    with pytest.raises(FileNotFoundError, match=r'none\.png does not exist'):
        read(str(tmp_path / 'none.png'))
    (tmp_path / 'empty.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'empty\.png is empty\. The file is damaged'):
        read(str(tmp_path / 'empty.png'))
    (tmp_path / 'text.png').write_bytes(b'this is not an image')
    with pytest.raises(ValueError, match=r'text\.png \(20 bytes\) cannot be decoded'):
        read(str(tmp_path / 'text.png'))


def test_labels_go_through_the_table(tmp_path):
    labels = np.array([[7, 8], [11, 0]], np.uint8)
    results = LoadLabels()(label_results(tmp_path, labels, table={7: 0, 8: 1, 11: 2, 0: 255}))
    assert results['gt_seg_map'].tolist() == [[0, 1], [2, 255]]
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['seg_fields'] == ['gt_seg_map']


def test_an_id_outside_the_table(tmp_path):
    labels = np.array([[0, 1], [2, 5]], np.uint8)
    with pytest.raises(
        ValueError,
        match=r'label\.png holds the label ids \[5\], which are not in the label table of '
        r'its data set \(ids found: \[0, 1, 2, 5\], ids listed: \[0, 1, 2, 255\]\)',
    ):
        LoadLabels()(label_results(tmp_path, labels))


TABLES = [{raw: raw % 5 for raw in range(35)}, {**{raw: 255 - raw for raw in range(1, 35)}, 0: 255, 255: 255}]


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, '>u2', np.int32])
@pytest.mark.parametrize('table', TABLES)
def test_ids_of_every_width_are_mapped_alike(dtype, table):
    ids = np.random.default_rng(0).choice(list(table), (20, 30)).astype(dtype)
    labels = map_labels(ids, table, 'x')
    assert labels.dtype == np.uint8 and labels.tolist() == [[table[raw] for raw in row] for row in ids.tolist()]
    for unknown in (35, 100, 254):
        ids[3, 4] = unknown
        with pytest.raises(ValueError, match=rf'x holds the label ids \[{unknown}\], which are not in the label table'):
            map_labels(ids, table, 'x')


def test_tables_and_files_with_large_ids():
    ids = np.array([[0, 1], [2, 300]], np.uint16)
    table = {0: 3, 1: 255, 2: 1, 300: 0}
    assert map_labels(ids, table, 'x').tolist() == [[3, 255], [1, 0]]
    assert map_labels(ids[:1], table, 'x').tolist() == [[3, 255]]
    for unknown in (301, 65535):
        with pytest.raises(ValueError, match=rf'label ids \[{unknown}\]'):
            map_labels(np.where(ids == 300, unknown, ids).astype(np.uint16), table, 'x')
    for unknown in (-1, 70000):
        with pytest.raises(ValueError, match=rf'label ids \[{unknown}\]'):
            map_labels(np.array([[0, unknown]], np.int32), table, 'x')
    ids = np.array([[0, 70000], [2**31 - 1, 7]], np.int32)
    assert map_labels(ids, {0: 0, 7: 255, 70000: 1, 2**31 - 1: 2}, 'x').tolist() == [[0, 1], [2, 255]]
    assert map_labels(np.array([[65535, 0]], np.uint16), {0: 0, 65535: 1, 70000: 2}, 'x').tolist() == [[1, 0]]


def test_palette_files_give_their_indices_and_one_bit_files_0_and_1(tmp_path):
    file = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode='P')
    file.putpalette([200, 10, 10, 10, 200, 10, 10, 10, 200])
    file.save(tmp_path / 'a.png')
    assert read_label_ids(str(tmp_path / 'a.png')).tolist() == [[0, 1], [2, 1]]
    Image.fromarray(np.array([[True, False]])).save(tmp_path / 'b.png')
    assert read_label_ids(str(tmp_path / 'b.png')).tolist() == [[1, 0]]


def test_16_bit_colour_labels_keep_their_red_channel(tmp_path):
    red = np.array([[1, 2], [300, 65535]], np.uint16)
    pixels = np.stack([np.zeros_like(red), red * 0 + 9, red], axis=-1)  # OpenCV writes blue first
    path = str(tmp_path / 'a.png')
    assert cv2.imwrite(path, pixels)
    ids = read_label_ids(path, channel=0)
    np.testing.assert_array_equal(ids, red)
    mapped = map_labels(ids, {1: 0, 2: 1, 300: 2, 65535: 255}, path)
    assert mapped.tolist() == [[0, 1], [2, 255]]


def test_label_channel_comes_from_the_data_set(tmp_path):
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 2] = [[0, 1], [2, 255]]
    results = label_results(tmp_path, pixels, label_channel=0)
    assert LoadLabels()(results)['gt_seg_map'].tolist() == [[0, 1], [2, 255]]


def test_wrong_number_of_channels(tmp_path):
    colour, grey = str(tmp_path / 'colour.png'), str(tmp_path / 'grey.png')
    cv2.imwrite(colour, np.zeros((2, 2, 3), np.uint8))
    cv2.imwrite(grey, np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r'colour\.png has shape \(2, 2, 3\); a label has one channel.*label_channel'):
        read_label_ids(colour)
    with pytest.raises(ValueError, match=r'grey\.png has shape \(2, 2\), which has no colour channel 0'):
        read_label_ids(grey, channel=0)
    with pytest.raises(ValueError, match='no colour channel 3'):
        read_label_ids(colour, channel=3)


def test_labels_of_fractions_and_truncated_labels_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.float32)).save(tmp_path / 'a.tiff')
    with pytest.raises(ValueError, match=r'a\.tiff holds float32 values; a label holds integer ids'):
        read_label_ids(str(tmp_path / 'a.tiff'))
    content = cv2.imencode('.png', np.random.default_rng(0).integers(0, 3, (64, 64), np.uint8))[1].tobytes()
    (tmp_path / 'b.png').write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedFileError, match=r'b\.png \(\d+ bytes\) cannot be decoded: it is truncated'):
        read_label_ids(str(tmp_path / 'b.png'))


def test_label_of_another_size_than_its_image(tmp_path):
    labels = np.zeros((10, 20), np.uint8)
    results = label_results(tmp_path, labels, ori_shape=(10, 22))
    with pytest.raises(ValueError, match=r'label\.png is 20x10 pixels, its image image\.png 22x10 .*max_size'):
        LoadLabels()(dict(results))
    with pytest.raises(ValueError, match='is 20x10 pixels'):
        LoadLabels(max_size_difference=1)(dict(results))
    assert LoadLabels(max_size_difference=2)(dict(results))['gt_seg_map'].shape == (10, 22)
    # The image may have been resized in between.
    assert LoadLabels()(label_results(tmp_path, labels, img_shape=(5, 10)))['gt_seg_map'].shape == (10, 20)


def test_a_data_set_without_labels_cannot_load_them():
    message = r'image\.png comes from a data set without labels \(labelled=False\): remove LoadLabels from its pipeline'
    with pytest.raises(ValueError, match=message):
        LoadLabels()(dict(img_path='image.png', ori_shape=(2, 2)))


def tiff(pixels: np.ndarray) -> bytes:
    """An uncompressed TIFF of any number of channels, which neither OpenCV nor Pillow writes."""
    height, width, channels = pixels.shape
    data, kind = pixels.tobytes(), {'u': 1, 'f': 3}[pixels.dtype.kind]
    start = 8 + len(data)
    extra = start + 2 + 9 * 12 + 4
    # Tag, type, count, value: size, bits, no compression, RGB, place of the data, channels, length, kind of values.
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, extra), (259, 3, 1, 1), (262, 3, 1, 2)]
    entries += [(273, 4, 1, 8), (277, 3, 1, channels), (279, 4, 1, len(data)), (339, 3, 1, kind)]
    packed = b''.join(struct.pack('<HHII', *entry) for entry in entries)
    bits = struct.pack(f'<{channels}H', *[8 * pixels.itemsize] * channels)
    head = b'II*\0' + struct.pack('<I', start)
    return head + data + struct.pack('<H', len(entries)) + packed + bytes(4) + bits


@pytest.mark.parametrize('channels, dtype', [(5, np.uint8), (8, np.uint16), (13, np.float32)])
@pytest.mark.parametrize('read', [read_image, read_label_ids])
def test_images_of_many_channels_are_not_called_damaged(channels, dtype, read, tmp_path):
    path = tmp_path / 'bands.tif'
    path.write_bytes(tiff(np.full((8, 8, channels), 100, dtype)))
    with pytest.raises(ValueError, match=rf'bands\.tif has {channels} channels; an image has 1, 3 or 4') as caught:
        read(str(path))
    assert not isinstance(caught.value, DamagedFileError)


@pytest.mark.parametrize('shape', [(8, 8), (8, 8, 3)])
@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_images_of_fractions_are_not_called_damaged(shape, dtype, tmp_path):
    path = str(tmp_path / 'a.tif')
    assert cv2.imwrite(path, np.full(shape, 0.5, dtype))
    with pytest.raises(ValueError, match=r'a\.tif holds float.* values.*Convert the images') as caught:
        read_image(path)
    assert not isinstance(caught.value, DamagedFileError)


@pytest.mark.parametrize('bits', [10, 12, 14, 16])
@pytest.mark.parametrize(
    'suffix, shape', [('.png', (2, 3, 3)), ('.png', (2, 3, 4)), ('.tif', (2, 3)), ('.tif', (2, 3, 3))]
)
def test_bits_of_16_bit_files(bits, suffix, shape, tmp_path, recwarn):
    """White is white, whatever the bits of the camera."""
    path = str(tmp_path / f'{bits}{suffix}')
    values = np.zeros(shape, np.uint16)
    values[0], values[1, 0] = 2**bits - 1, 2 ** (bits - 1)
    assert cv2.imwrite(path, values)
    image = read_image(path)
    assert image.dtype == np.uint8 and image[:, :, 0].tolist() == [[255] * 3, [128, 0, 0]]
    assert [str(warning.message).split('largest value has ')[1][:7] for warning in recwarn] == (
        [] if bits == 16 else [f'{bits} bits']
    )
    assert (read_image(path, bit_depth=16)[0] == round((2**bits - 1) / 257)).all()
    if bits > 12:
        with pytest.raises(ValueError, match='which are more than 12 bits: correct bit_depth of LoadImage'):
            LoadImage(bit_depth=12)(dict(img_path=path))


def test_other_images_read_as_before(tmp_path):
    grey, alpha = np.array([[3, 200]], np.uint8), np.array([[[1, 2, 3, 0], [4, 5, 6, 255]]], np.uint8)
    for name, pixels in (('grey', grey), ('alpha', alpha)):
        assert cv2.imwrite(str(tmp_path / f'{name}.png'), pixels)
    assert read_image(str(tmp_path / 'grey.png')).tolist() == [[[3] * 3, [200] * 3]]
    assert read_image(str(tmp_path / 'alpha.png')).tolist() == [[[1, 2, 3], [4, 5, 6]]]


@pytest.mark.parametrize('read', [read_image, read_label_ids])
@pytest.mark.parametrize('size', [(1000, 1001), (40000, 40000)])
def test_large_images_are_refused_before_they_are_decoded(read, size, tmp_path, monkeypatch):
    monkeypatch.setattr(images, 'MAX_PIXELS', 10**6)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10**6)
    path = tmp_path / 'bomb.png'
    chunks = [b'IHDR' + struct.pack('>IIBBBBB', *size, 8, 0, 0, 0, 0), b'IDAT' + zlib.compress(b''), b'IEND']
    framed = (struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk)) for chunk in chunks)
    path.write_bytes(b'\x89PNG\r\n\x1a\n' + b''.join(framed))
    with pytest.raises(DamagedFileError, match=r'bomb\.png says that it .* pixels.*UDASS_MAX_PIXELS'):
        read(str(path))


@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('suffix', ['.png', '.jpg', '.tif', '.bmp', '.webp'])
def test_flipped_bytes_are_read_or_refused_by_name(suffix, tmp_path):
    rng = np.random.default_rng(0)
    whole = cv2.imencode(suffix, rng.integers(0, 255, (24, 24, 3), np.uint8))[1].tobytes()
    path = tmp_path / f'a{suffix}'
    for _ in range(120):
        content = bytearray(whole)
        for place in rng.integers(0, len(whole), 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        for read in (read_image, read_label_ids):
            try:
                read(str(path))
            except ValueError as error:
                assert path.name in str(error)


def test_names_that_are_not_utf_8(tmp_path):
    folder = os.fsdecode(os.fsencode(tmp_path) + b'/f\xfc\xdf')
    os.mkdir(folder)
    path = f'{folder}/{os.fsdecode(bytes([0xE9]))}.png'
    Path(path).write_bytes(cv2.imencode('.png', np.full((4, 5), 2, np.uint8))[1].tobytes())
    assert files_below(folder) == [os.path.basename(path)]
    assert read_image(path).shape == (4, 5, 3) and read_label_ids(path).tolist() == [[2] * 5] * 4
    Path(path).write_bytes(b'')
    with pytest.raises(DamagedFileError, match='is empty'):
        read_image(path)
