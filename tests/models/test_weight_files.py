"""Reading weight files: no code is run, every failure says what to do, start weights fill a backbone or fail."""

import os
import zipfile

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import udass.models  # noqa: F401
from udass.models.checkpoints import local_file, read_checkpoint, to_reference, weights_of


class Malicious:
    """Creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_file_that_would_run_code_is_refused_and_nothing_is_executed(tmp_path):
    victim, path = tmp_path / 'executed', tmp_path / 'bad.pth'
    content = {'state_dict': {'backbone.weight': torch.zeros(1)}, 'meta': Malicious(victim)}
    torch.save(content, path)
    torch.load(path, weights_only=False)
    assert victim.exists(), 'the file is meant to run code where that is allowed'
    victim.rmdir()
    with pytest.raises(ValueError, match=r'needs \w+\.mkdir to be read.*weights_only=True.*nothing .* was executed'):
        read_checkpoint(path)
    assert not victim.exists()


@pytest.mark.parametrize('legacy', [False, True])
def test_weights_beside_harmless_records(tmp_path, legacy):
    """What mmcv writes beside weights: texts, lists, numbers; old files are no zip archives."""
    path = tmp_path / 'ok.pth'
    torch.save(
        {'state_dict': {'a': torch.ones(2)}, 'meta': {'CLASSES': ('road',), 'mIoU': np.float64(53.7)}},
        path,
        _use_new_zipfile_serialization=not legacy,
    )
    checkpoint = read_checkpoint(path)
    assert checkpoint['meta'] == {'CLASSES': ('road',), 'mIoU': 53.7}
    assert torch.equal(weights_of(checkpoint, path)['a'], torch.ones(2))


def test_numbers_of_old_numpy(tmp_path):
    """NumPy 1 wrote the maker of its scalars under another module name."""
    new, old = tmp_path / 'new.pth', tmp_path / 'old.pth'
    torch.save({'state_dict': {'a': torch.ones(2)}, 'meta': {'mIoU': np.float64(53.7)}}, new)
    with zipfile.ZipFile(new) as source, zipfile.ZipFile(old, 'w') as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b'numpy._core.multiarray', b'numpy.core.multiarray'))
    assert read_checkpoint(old)['meta'] == {'mIoU': 53.7}


@pytest.mark.parametrize(
    'content',
    [
        {'a': torch.ones(2)},
        {'state_dict': {'a': torch.ones(2)}},
        {'model': {'a': torch.ones(2)}},
        {'state_dict': {'module.a': torch.ones(2)}},
    ],
)
def test_shapes_of_files(tmp_path, content):
    torch.save(content, tmp_path / 'file.pth')
    weights = weights_of(read_checkpoint(tmp_path / 'file.pth'), 'file.pth')
    assert list(weights) == ['a']


def test_bad_files_are_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match='missing.pth does not exist'):
        read_checkpoint(tmp_path / 'missing.pth')
    torch.save({'state_dict': {'a': torch.ones(1000)}}, tmp_path / 'whole.pth')
    cut = (tmp_path / 'whole.pth').read_bytes()[:1500]
    for name, content in {'cut.pth': cut, 'text.pth': b'no weights', 'empty.pth': b''}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f'{name} is not a readable checkpoint'):
            read_checkpoint(tmp_path / name)
    number = tmp_path / 'list.pth'
    torch.save([1, 2], number)
    with pytest.raises(ValueError, match='holds a list'):
        read_checkpoint(number)
    with pytest.raises(ValueError, match='not tensors: name'):
        weights_of({'state_dict': {'name': 'text'}}, 'file.pth')
    with pytest.raises(ValueError, match='but nothing: give a file of weights'):
        weights_of({'state_dict': {}}, 'file.pth')


def test_a_url_that_cannot_be_fetched_says_where_the_file_belongs(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path))
    url = 'http://127.0.0.1:9/mit_b5_20220624-658746d9.pth'
    place = tmp_path / 'checkpoints' / 'mit_b5_20220624-658746d9.pth'
    with pytest.raises(FileNotFoundError, match=f'could not be fetched.*put it at {place}.*init_cfg.checkpoint=FILE'):
        local_file(url)
    torch.save({}, place)
    assert local_file(url) == place


def mit(checkpoint):
    init_default_scope('mmseg')
    return MODELS.build(dict(type='MiT', variant='b0', init_cfg=dict(type='StrictPretrained', checkpoint=checkpoint)))


@pytest.fixture(scope='module')
def weights():
    torch.manual_seed(1)
    init_default_scope('mmseg')
    return MODELS.build(dict(type='MiT', variant='b0')).state_dict()


@pytest.mark.parametrize('published', [False, True])
def test_start_weights_fill_the_backbone(tmp_path, weights, published):
    path = tmp_path / 'mit.pth'
    torch.save({**(to_reference(weights) if published else weights), 'head.bias': torch.zeros(1000)}, path)
    backbone = mit(str(path))
    backbone.init_weights()
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_start_weights_from_a_whole_network(tmp_path, weights):
    path = tmp_path / 'network.pth'
    backbone = {f'backbone.{key}': value for key, value in weights.items()}
    torch.save({'state_dict': {**backbone, 'decode_head.conv_seg.bias': torch.zeros(19)}}, path)
    backbone = mit(str(path))
    backbone.init_weights()
    assert torch.equal(backbone.layers[3][2].bias, weights['layers.3.2.bias'])


def test_incomplete_start_weights_are_an_error(tmp_path, weights):
    path = tmp_path / 'mit.pth'
    torch.save({key: value for key, value in weights.items() if not key.startswith('layers.3.2.')}, path)
    with pytest.raises(ValueError, match=r'mit.pth does not fit MiT: 2 missing: layers.3.2.weight, layers.3.2.bias'):
        mit(str(path)).init_weights()
    with pytest.raises(FileNotFoundError, match='elsewhere.pth does not exist.*init_cfg.checkpoint=FILE'):
        mit(str(tmp_path / 'elsewhere.pth')).init_weights()


def test_resnet_start_weights_without_batch_counters(tmp_path):
    init_default_scope('mmseg')
    resnet = dict(type='ResNetV1c', depth=18)
    weights = {key: value for key, value in MODELS.build(resnet).state_dict().items() if 'num_batches' not in key}
    path = tmp_path / 'resnet.pth'
    torch.save({**weights, 'fc.weight': torch.zeros(1000, 512)}, path)
    backbone = MODELS.build({**resnet, 'init_cfg': dict(type='StrictPretrained', checkpoint=str(path))})
    backbone.init_weights()
    for key, value in weights.items():
        assert torch.equal(backbone.state_dict()[key], value), key
