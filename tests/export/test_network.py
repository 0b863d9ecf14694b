"""Networks in a folder of their own, and `udass.load`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from PIL import Image
from safetensors.torch import load_file
from torch import nn

import udass
from tests.export.small import CLASSES, PALETTE, PIXELS, convolutional, save, vit
from udass.export import TrainedNetwork, export, load
from udass.export import network as network_module
from udass.export.card import _dataset_text
from udass.export.folder import sample_image
from udass.inference import Segmenter

RESIZE = dict(type='Resize', scale=(64, 48))
SLIDE = dict(mode='slide', crop_size=(48, 48), stride=(32, 32), max_batch=2)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp('trained') / 'iter_7.pth'
    return save(convolutional(test_cfg=SLIDE), path, [RESIZE], iter=7)


@pytest.fixture(scope='module')
def folder(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp('exported') / 'cars'
    export(checkpoint, out=out)
    return out


def test_a_loaded_folder_predicts_as_the_segmenter_of_the_checkpoint(checkpoint, folder, tmp_path):
    network, segment, pixels = load(folder, device='cpu'), Segmenter(checkpoint, device='cpu'), sample_image((90, 110))
    assert isinstance(network, nn.Module) and not network.training
    assert network.classes == CLASSES and network.palette == tuple(map(tuple, PALETTE))
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    for image in (pixels, Image.fromarray(pixels), tmp_path / 'a.png', str(tmp_path / 'a.png')):
        labels = network.predict(image)
        assert labels.dtype == np.uint8 and labels.shape == (90, 110)
        np.testing.assert_array_equal(labels, segment(pixels))
    np.testing.assert_array_equal(network.probabilities(pixels), segment.probabilities(pixels))
    assert len(np.unique(network.predict(pixels))) > 1


def test_a_checkpoint_and_the_segmenter_of_a_folder_are_the_same(checkpoint, folder):
    pixels = sample_image((48, 64))
    expected = Segmenter(checkpoint, device='cpu')(pixels)
    np.testing.assert_array_equal(load(checkpoint, device='cpu').predict(pixels), expected)
    np.testing.assert_array_equal(Segmenter(folder, device='cpu')(pixels), expected)


@pytest.mark.parametrize(
    'preprocessor',
    [PIXELS, PIXELS | dict(bgr_to_rgb=False), dict(type='CaffePreprocessor'), dict(type='SegDataPreProcessor')],
    ids=['rgb', 'bgr', 'caffe', 'nothing'],
)
@pytest.mark.parametrize('test_cfg', [dict(mode='whole'), SLIDE], ids=['whole', 'slide'])
def test_forward_gives_the_logits_of_the_segmenter(preprocessor, test_cfg, tmp_path):
    path = save(convolutional(data_preprocessor=preprocessor, test_cfg=test_cfg), tmp_path / 'a.pth')
    segment, pixels = Segmenter(path, device='cpu'), sample_image((60, 72))
    with torch.no_grad():
        logits = TrainedNetwork(segment)(torch.from_numpy(pixels).permute(2, 0, 1)[None])
    np.testing.assert_allclose(logits[0].numpy(), segment.logits(pixels), atol=1e-5)


def test_config_json_tells_what_other_programs_need(folder):
    config = json.loads((folder / 'config.json').read_text())
    expected = dict(
        classes=list(CLASSES),
        palette=PALETTE,
        normalization=dict(channels='RGB', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
        resize=[dict(type='Resize', scale=[64, 48])],
        window=[48, 48],
        stride=[32, 32],
        align_corners=False,
        files={'model.safetensors': {}},
    )
    assert {key: config[key] for key in expected} == expected
    assert config['network']['backbone']['name'] == 'test_resnet'


def test_what_is_saved_again_is_the_same(folder, tmp_path):
    load(folder, device='cpu').save_pretrained(tmp_path)
    first, second = (load_file(path / 'model.safetensors') for path in (folder, tmp_path))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
    assert (tmp_path / 'README.md').read_text() == (folder / 'README.md').read_text()
    np.testing.assert_array_equal(
        load(tmp_path).predict(sample_image((50, 50))), load(folder).predict(sample_image((50, 50)))
    )


def test_a_network_of_two_frames_takes_the_frame_before(video_run, tmp_path):
    segment = Segmenter(video_run[1], device='cpu')
    export(video_run[1], out=tmp_path / 'out')
    network, frames = (
        load(tmp_path / 'out', device='cpu'),
        [sample_image((64, 128)), sample_image((64, 128))[:, ::-1].copy()],
    )
    np.testing.assert_array_equal(network.predict(*frames), segment(*frames))
    assert (network.predict(*frames) != network.predict(frames[0])).any()
    assert network.config['resize'] == TrainedNetwork(segment).config['resize']


def test_the_card_tells_data_and_scores_of_this_checkpoint_only(image_run, tmp_path):
    run = tmp_path / 'run'
    run.mkdir()
    checkpoint = shutil.copyfile(image_run[1], run / 'iter_450.pth')
    result = dict(checkpoint='x/iter_450.pth', branch='student', images=3, mIoU=41.5, IoU=dict(road=90.25, car=None))
    (run / 'test.json').write_text(json.dumps(result | dict(code='bb2c108')))
    export(checkpoint, out=tmp_path / 'a', check=True)
    card = (tmp_path / 'a' / 'README.md').read_text()
    assert card.startswith('---\nlibrary_name: udass\n')
    for line in (
        '| data, source | StreetsDataset, domain game, split train |',
        '| data, target | StreetsDataset, domain camera, split train |',
        '| commit of the training | bb2c108 |',
        'mIoU 41.50 % on 3 images',
        '| road | 90.25 |',
        '| car | - |',
        '100.000 % equal labels; logits within 0.0e+00',
    ):
        assert line in card, line
    (run / 'test.json').write_text(json.dumps(result | dict(checkpoint='iter_100.pth')))
    export(checkpoint, out=tmp_path / 'b')
    assert 'holds no test of it' in (tmp_path / 'b' / 'README.md').read_text()


def test_the_card_names_the_folder_of_images_that_belong_to_no_known_data_set():
    assert _dataset_text(dict(type='UDADataset', data_root='/photos/day')) == 'UDADataset, folder day'
    assert _dataset_text(dict(type='CamVidDataset', data_root='/camvid', split='train')) == 'CamVidDataset, split train'


def test_a_hub_is_given_what_load_takes_from_it(folder, tmp_path, monkeypatch):
    """A folder stands for the hub."""
    uploads = []

    class Hub:
        def __init__(self, token):
            assert token == 'secret'

        def create_repo(self, repo_id, private, exist_ok):
            assert private and exist_ok
            return SimpleNamespace(repo_id=repo_id)

        def upload_folder(self, repo_id, folder_path, commit_message):
            uploads.append(repo_id)
            Path(folder_path).rename(tmp_path / 'hub')
            Path(folder_path).mkdir()
            return 'https://hub/commit/1'

    monkeypatch.setattr(network_module, 'HfApi', Hub)
    network = load(folder, device='cpu')
    assert network.push_to_hub('me/cars', private=True, token='secret') == 'https://hub/commit/1'
    assert uploads == ['me/cars']
    assert sorted(path.name for path in (tmp_path / 'hub').iterdir()) == [
        'README.md',
        'config.json',
        'model.safetensors',
    ]

    def snapshot_download(repo_id, revision, allow_patterns):
        assert (repo_id, revision) == ('me/cars', 'v1') and 'model.safetensors' in allow_patterns
        return str(tmp_path / 'hub')

    monkeypatch.setattr(network_module, 'snapshot_download', snapshot_download)
    monkeypatch.chdir(tmp_path)
    fetched, pixels = load('me/cars', revision='v1', device='cpu'), sample_image((40, 40))
    np.testing.assert_array_equal(fetched.predict(pixels), network.predict(pixels))


def test_what_is_nowhere_is_named(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError('no route')

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(network_module, 'snapshot_download', unreachable)
    with pytest.raises(FileNotFoundError, match='me/cars is not a folder here, and could not be fetched .*no route'):
        load('me/cars')
    with pytest.raises(FileNotFoundError, match='gone.pth does not exist'):
        load('gone.pth')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(FileNotFoundError, match='empty/config.json does not exist: `udass export CHECKPOINT --out'):
        load('empty')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(network=dict(type='os.system')), "is 'os.system', which is not a registered component"),
        (dict(classes=['one']), 'classes'),
        (dict(resize=None), 'cannot be read .*export the network again'),
    ],
    ids=['code', 'classes', 'damaged'],
)
def test_a_folder_runs_no_code_and_is_complete(folder, change, message, tmp_path):
    load(folder, device='cpu').save_pretrained(tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    (tmp_path / 'config.json').write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_changes_of_low_rank_are_merged(monkeypatch, tmp_path):
    """The network that leaves has plain layers; its logits are those of the trained one."""
    create = timm.create_model
    monkeypatch.setattr(timm, 'create_model', lambda name, **options: create(name, depth=2, **options))
    config = vit(
        dict(
            type='TimmViT',
            name='vit_small_patch16_dinov3.lvd1689m',
            out_indices=(1,),
            pretrained=False,
            lora=dict(rank=2, alpha=6, modules=['attn.proj']),
        )
    )
    trained = Config(dict(model=config)).model
    checkpoint = save(config, tmp_path / 'a.pth')
    content = torch.load(checkpoint)
    for key, value in content['state_dict'].items():
        if 'lora_B' in key:
            torch.nn.init.normal_(value)
    torch.save(content, checkpoint)
    network = MODELS.build(trained).eval()
    network.load_state_dict(content['state_dict'])
    export(checkpoint, out=tmp_path / 'out')
    loaded, images = (
        load(tmp_path / 'out', device='cpu'),
        torch.from_numpy(sample_image((64, 64))).permute(2, 0, 1)[None],
    )
    assert 'lora' not in loaded.config['network']['backbone'] and not any('lora' in key for key in loaded.state_dict())
    with torch.no_grad():
        expected = network.encode_decode(
            (images - network.data_preprocessor.mean) / network.data_preprocessor.std, [{}]
        )
        torch.testing.assert_close(loaded(images), expected, atol=1e-4, rtol=1e-4)


def test_what_cannot_be_written_down_is_refused(tmp_path):
    padding = PIXELS | dict(test_cfg=dict(size_divisor=32))
    with pytest.raises(ValueError, match='prepares images in a way of its own'):
        export(save(convolutional(data_preprocessor=padding), tmp_path / 'a.pth'), out=tmp_path / 'out')
    flipped = [RESIZE, dict(type='RandomFlip', prob=1.0)]
    with pytest.raises(ValueError, match='the test pipeline of the config holds RandomFlip'):
        export(save(convolutional(), tmp_path / 'b.pth', flipped), out=tmp_path / 'out')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'mine.txt').touch()
    with pytest.raises(FileExistsError, match='out exists already: name a new folder'):
        export(save(convolutional(), tmp_path / 'c.pth'), out=tmp_path / 'out')


def test_moving_the_module_moves_what_prepares_images(checkpoint):
    network = load(checkpoint, device='cpu').to('meta')
    assert network.network.data_preprocessor.device == torch.device('meta')


def test_load_is_imported_when_it_is_used():
    code = "import sys, udass; assert 'torch' not in sys.modules and 'huggingface_hub' not in sys.modules"
    subprocess.run([sys.executable, '-c', code], check=True)
    assert udass.load is load
    with pytest.raises(AttributeError, match="'udass' has no attribute 'lode'"):
        udass.lode  # noqa: B018
