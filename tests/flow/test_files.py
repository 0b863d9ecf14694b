"""Flow files: what is written comes back, files of other programs are understood, damage is named."""

import cv2
import numpy as np
import pytest

from udass.flow import read_flow, write_flow


@pytest.fixture
def flow():
    return np.random.default_rng(0).uniform(-300, 300, size=(5, 7, 2)).astype(np.float32)


@pytest.fixture
def valid():
    return np.arange(35).reshape(5, 7) % 3 == 0


def test_png_keeps_sixty_fourths_of_a_pixel(tmp_path, flow, valid):
    write_flow(tmp_path / 'flow.png', flow, valid)
    read, read_valid = read_flow(tmp_path / 'flow.png')
    assert read.dtype == np.float32
    assert np.abs(read - flow).max() <= 1 / 128 + 1e-4
    assert np.array_equal(valid, read_valid)
    raw = cv2.imread(str(tmp_path / 'flow.png'), cv2.IMREAD_UNCHANGED)[..., ::-1]  # KITTI: R = dx, G = dy, B = valid
    assert np.array_equal(raw[..., 2], valid)
    assert raw[0, 0, 0] == round(float(flow[0, 0, 0]) * 64 + 2**15)
    # A second round changes nothing.
    write_flow(tmp_path / 'again.png', read, valid)
    assert (tmp_path / 'again.png').read_bytes() == (tmp_path / 'flow.png').read_bytes()


@pytest.mark.filterwarnings('error')
def test_png_clips_and_marks_what_it_cannot_hold(tmp_path):
    values = [(-512, 511.98), (-512.1, 0), (0, 600), (np.nan, 3), (np.inf, 3), (1, 2)]
    write_flow(tmp_path / 'flow.png', np.array([values], np.float32))
    read, valid = read_flow(tmp_path / 'flow.png')
    assert valid.tolist() == [[True, False, False, False, False, True]]
    assert read[0, [0, 1, 2, 5]].tolist() == [[-512, 511.984375], [-512, 0], [0, 511.984375], [1, 2]]
    assert read[0, 3].tolist() == [0, 3]


def test_flo_is_exact_and_marks_the_unknown(tmp_path, flow, valid):
    write_flow(tmp_path / 'flow.flo', flow * 100, valid)
    read, read_valid = read_flow(tmp_path / 'flow.flo')
    assert np.array_equal(read[valid], (flow * 100)[valid])
    assert np.array_equal(valid, read_valid)
    assert not read[~valid].any()


def test_flo_of_the_middlebury_format(tmp_path):
    """Bytes as the format's description has them: 'PIEH', width 2, height 1, then dx, dy of the two pixels."""
    content = b'PIEH' + (2).to_bytes(4, 'little') + (1).to_bytes(4, 'little')
    (tmp_path / 'flow.flo').write_bytes(content + np.array([1.5, -2, 1.7e9, 1.7e9], '<f4').tobytes())
    read, valid = read_flow(tmp_path / 'flow.flo')
    assert read.tolist() == [[[1.5, -2], [0, 0]]]
    assert valid.tolist() == [[True, False]]
    assert cv2.readOpticalFlow(str(tmp_path / 'flow.flo'))[0, 0].tolist() == [1.5, -2]


def test_npy_holds_ten_times_the_pixels(tmp_path, flow):
    np.save(tmp_path / 'a_int16_x10.npy', np.array([[[15, -20]]], np.int16))
    read, valid = read_flow(tmp_path / 'a_int16_x10.npy')
    assert read.tolist() == [[[1.5, -2]]]
    assert valid.all()
    write_flow(tmp_path / 'b_int16_x10.npy', flow)
    assert np.load(tmp_path / 'b_int16_x10.npy').dtype == np.int16
    assert np.abs(read_flow(tmp_path / 'b_int16_x10.npy')[0] - flow).max() <= 0.05 + 1e-4


@pytest.mark.parametrize('value', [3300.0, np.nan])
def test_npy_refuses_what_it_cannot_hold(tmp_path, flow, valid, value):
    with pytest.raises(ValueError, match='far.npy: an int16 .npy has no validity and holds up to 3276.7 pixels'):
        write_flow(tmp_path / 'far.npy', np.full((2, 2, 2), value, np.float32))
    with pytest.raises(ValueError, match='write a .png or .flo file'):
        write_flow(tmp_path / 'partial.npy', flow, valid)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name', ['flow.png', 'flow.flo', 'flow.npy'])
def test_damaged_files_are_named(tmp_path, flow, name):
    path = tmp_path / name
    write_flow(path, flow)
    content = path.read_bytes()
    for broken in (b'', content[:10], content[: len(content) // 2], b'something else'):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=rf'{name}.*\. Copy, download or compute the file again'):
            read_flow(path)


def test_files_of_another_kind_are_named(tmp_path):
    cv2.imwrite(str(tmp_path / 'grey.png'), np.zeros((4, 4), np.uint8))
    np.save(tmp_path / 'float.npy', np.zeros((4, 4, 2), np.float32))
    with pytest.raises(ValueError, match=r'grey.png is not a flow file; expected a KITTI 16-bit PNG .* uint8 of shape'):
        read_flow(tmp_path / 'grey.png')
    with pytest.raises(ValueError, match=r'float.npy is not a flow file; expected int16 .* found float32 \(4, 4, 2\)'):
        read_flow(tmp_path / 'float.npy')
    with pytest.raises(FileNotFoundError, match='none.flo does not exist'):
        read_flow(tmp_path / 'none.flo')
    for call in (lambda: read_flow(tmp_path / 'flow.jpg'), lambda: write_flow('flow.jpg', np.zeros((2, 2, 2)))):
        with pytest.raises(ValueError, match=r'flow.jpg is not the name of a flow file; .* .png, .flo or .npy'):
            call()
    with pytest.raises(ValueError, match=r'flow.png: expected flow \(H, W, 2\) .* got \(2, 2\) and None'):
        write_flow('flow.png', np.zeros((2, 2)))


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, flow, monkeypatch):
    path = tmp_path / 'deep' / 'flow.flo'
    write_flow(path, flow)

    def full(*arguments):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(OSError, match='disk full'):
        write_flow(path, 0 * flow)
    assert np.array_equal(read_flow(path)[0], flow)
    assert [file.name for file in path.parent.iterdir()] == ['flow.flo']
