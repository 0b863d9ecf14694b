"""Estimators: units, direction, sizes, and what they refuse."""

import numpy as np
import pytest
import torch
from mmseg.registry import MODELS
from torchvision.models.optical_flow import raft_small

from udass.flow import DISFlow, RAFTFlow


def texture(size, seed=0):
    """Smooth random colours (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).uniform(0, 255, (size[0] // 8 + 2, size[1] // 8 + 2, 3)).astype(np.float32)
    maps = torch.from_numpy(noise).permute(2, 0, 1)[None]
    full = torch.nn.functional.interpolate(maps, size=size, mode='bicubic').clamp(0, 255)
    return full[0].permute(1, 2, 0).byte().numpy()


@pytest.fixture(scope='module')
def raft_file(tmp_path_factory):
    """Random weights of the small network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp('raft') / 'raft_small.pth'
    torch.save(raft_small(weights=None).state_dict(), path)
    return path


@pytest.mark.parametrize('preset', ['ultrafast', 'fast', 'medium'])
def test_dis_finds_a_shift_in_pixels_from_the_first_to_the_second(preset):
    """What is at x in the first frame is at x + 5, y - 3 in the second."""
    world = texture((120, 180))
    first, second = world[10:106, 10:154], world[13:109, 5:149]
    flow = MODELS.build(dict(type='DISFlow', preset=preset))(first, second)
    assert flow.shape == (96, 144, 2) and flow.dtype == np.float32
    assert np.median(flow, axis=(0, 1)) == pytest.approx([5, -3], abs=0.2)


def test_dis_refuses_what_it_cannot_do():
    frame = texture((40, 64))
    with pytest.raises(ValueError, match="preset is one of .*, got 'slow'"):
        DISFlow(preset='slow')
    with pytest.raises(ValueError, match='at least 32 pixels a side, got 64x31'):
        DISFlow()(frame[:31], frame[:31])
    with pytest.raises(ValueError, match='two frames of one size, got 64x40 and 63x40'):
        DISFlow()(frame, frame[:, 1:])
    with pytest.raises(ValueError, match=r'\(H, W, 3\) uint8 RGB, got float64 \(40, 64, 3\)'):
        DISFlow()(frame, frame / 255)


@pytest.mark.parametrize('size', [(50, 70), (130, 128)])
def test_raft_gives_pixels_of_the_frames_own_size(raft_file, size):
    """The padded network, written out: its result is cut, not resized."""
    estimator = RAFTFlow('small', str(raft_file), iterations=2, device='cpu')
    first, second = texture(size, 1), texture(size, 2)
    flow = estimator(first, second)
    assert flow.shape == (*size, 2) and flow.dtype == np.float32
    network = raft_small(weights=None).eval()
    network.load_state_dict(torch.load(raft_file, weights_only=True))
    margins = [(0, max(-side % 8, 128 - side)) for side in size] + [(0, 0)]
    padded = [np.pad(frame, margins, mode='edge') for frame in (first, second)]
    inputs = [torch.from_numpy(frame).permute(2, 0, 1)[None] / 127.5 - 1 for frame in padded]
    with torch.no_grad():
        expected = network(*inputs, num_flow_updates=2)[-1][0, :, : size[0], : size[1]]
    assert np.allclose(flow, expected.permute(1, 2, 0).numpy(), atol=1e-3)


def test_raft_goes_to_the_device_it_is_given(raft_file, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    assert RAFTFlow('small', str(raft_file)).device == torch.device('cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert RAFTFlow('small', str(raft_file)).device == torch.device('cpu')
    on_gpu = RAFTFlow('small', str(raft_file), device='cuda:1')
    monkeypatch.setattr('udass.flow.estimators.get_worker_info', lambda: object())
    with pytest.raises(ValueError, match='cannot use the GPU inside a loader worker: .* udass flow'):
        on_gpu(texture((40, 40)), texture((40, 40)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_raft_is_the_same_on_the_gpu(raft_file):
    frames = texture((64, 96), 1), texture((64, 96), 2)
    on_cpu, on_gpu = (RAFTFlow('small', str(raft_file), 2, device)(*frames) for device in ('cpu', 'cuda'))
    assert np.abs(on_cpu - on_gpu).max() < 0.1


def test_keys_tell_settings_apart(raft_file, tmp_path):
    other = tmp_path / 'other.pth'
    other.write_bytes(raft_file.read_bytes() + b' ')
    small = [RAFTFlow('small', str(raft_file), iterations=n).key for n in (12, 4)]
    keys = [DISFlow().key, DISFlow('fast').key, *small, RAFTFlow('small', str(other)).key, RAFTFlow('small').key]
    keys.append(RAFTFlow('large').key)
    assert keys[0] == 'dis_medium' and keys[-1] == 'raft_large_12_C_T_SKHT_V2'
    assert len(set(keys)) == len(keys)


def test_raft_weights_must_fit(raft_file, tmp_path):
    frames = texture((32, 32)), texture((32, 32))
    with pytest.raises(FileNotFoundError, match='the weight file none.pth does not exist'):
        RAFTFlow('small', 'none.pth')
    with pytest.raises(ValueError, match="variant is one of .*, got 'tiny' and 12"):
        RAFTFlow('tiny')
    weights = torch.load(raft_file, weights_only=True)
    key = next(iter(weights))
    torch.save({name: value for name, value in weights.items() if name != key}, tmp_path / 'missing.pth')
    with pytest.raises(ValueError, match=f'missing.pth does not fit (.|\n)*Missing key.*"{key}"'):
        RAFTFlow('small', str(tmp_path / 'missing.pth'))(*frames)
    (tmp_path / 'broken.pth').write_bytes(raft_file.read_bytes()[:1000])
    with pytest.raises(ValueError, match='broken.pth cannot be read as weights'):
        RAFTFlow('small', str(tmp_path / 'broken.pth'))(*frames)
    torch.save({'state_dict': {f'module.{name}': value for name, value in weights.items()}}, tmp_path / 'wrapped.pth')
    RAFTFlow('small', str(tmp_path / 'wrapped.pth'), 1, 'cpu')(*frames)


def test_weights_run_no_code(tmp_path):
    class Sneaky:
        def __reduce__(self):
            return (open, (str(tmp_path / 'executed'), 'w'))

    torch.save({'a': Sneaky()}, tmp_path / 'sneaky.pth')
    with pytest.raises(ValueError, match='sneaky.pth cannot be read as weights'):
        RAFTFlow('small', str(tmp_path / 'sneaky.pth'), device='cpu')(texture((32, 32)), texture((32, 32)))
    assert not (tmp_path / 'executed').exists()
