"""Which published flow file belongs to which frames."""

import numpy as np
import pytest

from udass.flow import FlowCache, PrecomputedFlow, write_flow

ULM, FRANKFURT = 'ulm_000001_0000{}_leftImg8bit.png', 'frankfurt_000000_000{}_leftImg8bit.png'


@pytest.mark.parametrize(
    ('naming', 'current', 'other', 'expected'),
    [
        ('cityscapes', f'a/{ULM.format(19)}', f'a/{ULM.format(18)}', 'ulm_000001_000019_000018_int16_x10.npy'),
        ('cityscapes', FRANKFURT.format(294), FRANKFURT.format(292), 'frankfurt_000000_000294_000292_int16_x10.npy'),
        ('viper', '001/001_00010.jpg', '001/001_00009.jpg', '001_0001000009_int16_x10.npy'),
        ('synthia', 'rgb/000007.png', 'rgb/000006.png', '000007_int16_x10.npy'),
        ('{other}/{current}.flo', 'x/b.png', 'x/a.png', 'a/b.flo'),
    ],
)
def test_names(naming, current, other, expected):
    assert PrecomputedFlow('flow', naming).file(current, other).as_posix() == f'flow/{expected}'


def test_a_pattern_may_start_at_the_frame():
    file = PrecomputedFlow(naming='../flow/{current}_{other}.png').file(
        'clip/images/00001.png', 'clip/images/00000.png'
    )
    assert file.as_posix() == 'clip/images/../flow/00001_00000.png'


@pytest.mark.parametrize(
    ('naming', 'current', 'other', 'message'),
    [
        ('synthia', '000007.png', '000005.png', 'to the one before it only, .* from 000007.png to 000005.png'),
        ('synthia', 'a/000007.png', 'b/000006.png', 'from a frame to the one before it only'),
        ('viper', '001_00010.jpg', '002_00009.jpg', 'are frames of different sequences'),
        ('cityscapes', ULM.format(19), FRANKFURT.format(218), 'different sequences'),
        ('cityscapes', '001_00010.jpg', '', '001_00010.jpg does not have the name .*<city>_<seq>_<t6>_leftImg8bit.jpg'),
    ],
)
def test_frames_without_published_flow(naming, current, other, message):
    with pytest.raises(ValueError, match=message):
        PrecomputedFlow('flow', naming).file(current, other)


def test_unknown_naming():
    for naming in ('kitti', '{current}_{other}.jpg', 'same.flo'):
        with pytest.raises(ValueError, match="naming is one of .*'cityscapes', 'viper', 'synthia'.* or a pattern"):
            PrecomputedFlow('flow', naming)


def test_files_are_read_in_pixels_of_the_wanted_size(tmp_path):
    names = ('001_00010.jpg', '001_00009.jpg')
    write_flow(tmp_path / '001_0001000009_int16_x10.npy', np.ones((90, 160, 2)) * [4.0, -6.0])
    flow = PrecomputedFlow(str(tmp_path), 'viper')
    cache = FlowCache(estimator=dict(type='PrecomputedFlow', folder=str(tmp_path), naming='viper'))
    assert not cache.computes
    for source in (flow, cache):
        assert source(*names).shape == (90, 160, 2)
        assert source(*names, size=(45, 80))[3, 7] == pytest.approx([2, -3])
        # Sizes are rounded to whole pixels: each component by its own ratio.
        assert source(*names, size=(45, 81))[3, 7] == pytest.approx([4 * 81 / 160, -3])
    with pytest.raises(ValueError, match='001_0001000009_int16_x10.npy has 160x90 pixels, .* frames of 160x75'):
        flow(*names, size=(75, 160))


def test_missing_and_damaged_files_are_named(tmp_path):
    flow = PrecomputedFlow(str(tmp_path), 'synthia')
    with pytest.raises(FileNotFoundError, match='000007_int16_x10.npy from 000007.png to 000006.png does not exist'):
        flow('000007.png', '000006.png')
    (tmp_path / '000007_int16_x10.npy').write_bytes(b'')
    with pytest.raises(ValueError, match=r'000007_int16_x10.npy \(0 bytes\) cannot be read'):
        flow('000007.png', '000006.png')
    with pytest.raises(TypeError, match='finds files by the names .* use it in place of a FlowCache'):
        flow(np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8))


def test_files_mark_what_the_other_frame_shows(tmp_path):
    valid = np.arange(4 * 8).reshape(4, 8) % 8 < 6
    write_flow(tmp_path / 'b_a.png', np.zeros((4, 8, 2), np.float32), valid)
    flow = FlowCache(estimator=PrecomputedFlow(str(tmp_path), '{current}_{other}.png'))
    assert np.array_equal(flow.visible('b.png', 'a.png'), valid)
    assert np.array_equal(flow.visible('b.png', 'a.png', (2, 4)), np.array([[True, True, True, False]] * 2))
    with pytest.raises(ValueError, match='is not the shape of frames of 4x4'):
        flow.visible('b.png', 'a.png', (4, 4))
    with pytest.raises(FileNotFoundError, match=r'flow file .*a_b\.png from a\.png to b\.png does not exist'):
        flow.visible('a.png', 'b.png')
    with pytest.raises(
        ValueError, match=r'000007_int16_x10\.npy does not say which pixels are visible in the other frame'
    ):
        PrecomputedFlow(str(tmp_path), 'synthia').visible('000007.png', '000006.png')
