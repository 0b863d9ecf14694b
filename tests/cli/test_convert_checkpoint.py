"""tools/convert_checkpoint.py from file to file."""

import os
import resource

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from tests.cli.calls import call
from tests.models.small import daformer_head, plain
from udass.cli import convert as convert_command
from udass.cli.main import main
from udass.models.checkpoints import add_fusion, load_strictly, read_checkpoint, to_reference

CONFIG = dict(
    segmentor=dict(
        type='SlidingEncoderDecoder',
        backbone=dict(type='MiT', variant='b0'),
        decode_head=daformer_head(),
        test_cfg=dict(mode='whole'),
    )
)


@pytest.fixture(scope='module')
def network():
    return plain()


@pytest.fixture
def files(tmp_path, network):
    """A published training checkpoint of the small network, its config, and where to write."""
    published = to_reference(network.state_dict())
    weights = {
        prefix + key: value + offset
        for offset, prefix in enumerate(('model.', 'ema_model.', 'imnet_model.'))
        for key, value in published.items()
    }
    torch.save({'meta': {'iter': 40000}, 'state_dict': weights}, tmp_path / 'published.pth')
    Config(CONFIG).dump(tmp_path / 'network.py')
    return tmp_path


def convert(files, *options, source='published.pth', target='out.pth'):
    call(convert_command, files / source, files / target, *options)
    return read_checkpoint(files / target)['state_dict']


def test_a_branch_of_a_published_checkpoint_fills_our_config(files, network, capsys):
    weights = convert(files, '--from', 'daformer', '--branch', 'teacher', '--check', str(files / 'network.py'))
    for key, value in network.state_dict().items():
        assert torch.equal(weights[key], value + 1), key
    printed = capsys.readouterr().out
    assert 'training checkpoint: ' in printed and 'the student, not asked for (--branch student)' in printed
    assert 'frozen ImageNet copy' in printed and 'fills SlidingEncoderDecoder' in printed and 'network.py' in printed


def test_out_to_the_reference_and_back(files, network):
    own = convert(files)
    published = convert(files, '--to', 'reference', source='out.pth', target='back.pth')
    assert published.keys() == to_reference(network.state_dict()).keys()
    again = convert(files, source='back.pth', target='again.pth')
    assert own.keys() == again.keys() and all(torch.equal(own[key], again[key]) for key in own)


def test_out_to_mmsegmentation_from_a_checkpoint_of_this_project(files, network, capsys):
    weights = {f'student.{key}': value for key, value in network.state_dict().items()}
    torch.save({'state_dict': {**weights, '_extra_state': {'iteration': 3}}}, files / 'ours.pth')
    load_strictly(network, convert(files, '--to', 'mmseg', source='ours.pth'), 'out.pth')
    assert "custom_imports=dict(imports=['udass.all_modules'])" in capsys.readouterr().out


def test_nothing_is_written_when_something_is_wrong(files):
    other = to_reference(plain(decode_head={**daformer_head(), 'num_classes': 5}).state_dict())
    torch.save({f'model.{key}': value for key, value in other.items()}, files / 'other.pth')
    with pytest.raises(ValueError, match=r'2 of another shape: decode_head.conv_seg.weight \(5, 16, 1, 1\) instead of'):
        convert(files, '--check', str(files / 'network.py'), source='other.pth')
    with pytest.raises(ValueError, match='OUT is IN'):
        convert(files, target='published.pth')
    with pytest.raises(ValueError, match='--check needs names of this project, not those of --to'):
        convert(files, '--to', 'mmseg', '--check', str(files / 'network.py'))
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'):
        convert(files, source='nowhere.pth')
    assert not (files / 'out.pth').exists()


def test_an_image_network_becomes_one_of_two_frames(files, network, capsys):
    """Shown still clips, the mean of both frames is the image network's scores; the share shows on others."""
    Config(dict(segmentor={**CONFIG['segmentor'], 'type': 'FlowGuidedEncoderDecoder'})).dump(files / 'video.py')
    weights = convert(files, '--add-fusion', '0.25', '--check', str(files / 'video.py'))
    assert 'added a fusion, share of the frame before 0.25' in capsys.readouterr().out
    fused = MODELS.build(Config.fromfile(files / 'video.py').segmentor).eval()
    load_strictly(fused, weights, 'out.pth')
    frames, still = torch.rand(2, 3, 64, 64), torch.zeros(1, 1, 2, 64, 64)
    with torch.no_grad():
        current, previous = network.eval().forward(frames).split(1)
        both = fused.forward(frames[None], flow=still)
    assert torch.allclose(both, 0.75 * current + 0.25 * previous, atol=1e-5)


def test_a_fusion_is_added_once_and_to_whole_networks(files):
    convert(files, '--add-fusion', '0')
    with pytest.raises(ValueError, match=r'two frames already, with a fusion\.weight'):
        convert(files, '--add-fusion', '0.5', source='out.pth', target='twice.pth')
    with pytest.raises(ValueError, match=r'share of the previous frame is in \[0, 1\], got 1\.5'):
        convert(files, '--add-fusion', '1.5')
    with pytest.raises(ValueError, match='needs the number of classes'):
        add_fusion({'backbone.a': torch.zeros(1)}, 0.5)


def test_a_full_disk_is_said_and_keeps_what_was_there(files):
    convert(files)
    before = (files / 'out.pth').read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses what comes after, as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match=r'out\.pth could not be written: .*files written before are untouched'):
            convert(files)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (files / 'out.pth').read_bytes() == before and not list(files.glob('.*.part'))


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_the_command_refuses_code_in_one_message(tmp_path):
    torch.save({'state_dict': {}, 'meta': Malicious(str(tmp_path / 'executed'))}, tmp_path / 'bad.pth')
    with pytest.raises(SystemExit) as stop:
        main(['convert', str(tmp_path / 'bad.pth'), str(tmp_path / 'out.pth')])
    assert 'weights_only=True' in stop.value.code and 'nothing of this one was executed' in stop.value.code
    assert not (tmp_path / 'executed').exists() and not (tmp_path / 'out.pth').exists()
