import pytest
import timm
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from safetensors.torch import save_file

from udass.uda.ema import evaluate_with_batch_statistics

NAME = 'resnet10t'


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def build(**options):
    return MODELS.build(dict(type='TimmBackbone', name=NAME, out_indices=(1, 4), **options))


def test_stages_channels_and_strides():
    backbone = build(pretrained=False)
    backbone.init_weights()
    assert backbone.channels == [64, 512] and backbone.reductions == [4, 32]
    shapes = [tuple(feature.shape) for feature in backbone(torch.rand(1, 3, 64, 96))]
    assert shapes == [(1, 64, 16, 24), (1, 512, 2, 3)]


def test_local_weights_fill_every_tensor_and_classifier_keys_are_left_out(tmp_path):
    source = build(pretrained=False)
    path = tmp_path / 'weights.pth'
    torch.save({**source.net.state_dict(), 'fc.weight': torch.zeros(10, 512)}, path)
    loaded = build(checkpoint=str(path))
    loaded.init_weights()
    for key, value in source.net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[key], value)


def test_a_key_that_stays_unloaded_is_an_error_that_names_it(tmp_path):
    weights = build(pretrained=False).net.state_dict()
    del weights['layer1.0.conv1.weight']
    weights['layer2.0.conv1.weight'] = torch.zeros(1)
    path = tmp_path / 'weights.pth'
    torch.save(weights, path)
    backbone = build(checkpoint=str(path))
    with pytest.raises(
        ValueError, match=r'does not fit .* 1 missing: layer1.0.conv1.weight; 1 of another shape: layer2.0.conv1'
    ):
        backbone.init_weights()


def test_a_missing_file_says_what_to_do():
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist. To use a file of your own'):
        build(checkpoint='nowhere.pth').init_weights()


def test_without_a_connection_the_error_says_what_to_fetch_and_where_to_put_it(monkeypatch):
    def offline(*args, **options):
        raise ConnectionError('no route to host')

    backbone = build()
    monkeypatch.setattr('udass.models.backbones.timm.timm.create_model', offline)
    with pytest.raises(ConnectionError, match=r'resnet10t could not be fetched.*ConnectionError.*`checkpoint`'):
        backbone.init_weights()


def test_real_weights_load_completely(weights_path):
    backbone = MODELS.build(
        dict(type='TimmBackbone', name='tf_efficientnet_lite0', out_indices=(1, 2, 3, 4), checkpoint=str(weights_path))
    )
    backbone.init_weights()
    published = torch.load(weights_path, weights_only=True)
    assert torch.equal(backbone.net.state_dict()['conv_stem.weight'], published['conv_stem.weight'])


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_damaged_file_is_refused_by_name(tmp_path, suffix):
    path = tmp_path / f'weights{suffix}'
    path.write_bytes(b'PK no weights')
    with pytest.raises(ValueError, match=f'weights{suffix} is not a readable checkpoint'):
        build(checkpoint=str(path)).init_weights()


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_networks_whose_stages_timm_renames_load_too(tmp_path, suffix):
    network = timm.create_model('convnext_atto', pretrained=False)
    path = tmp_path / f'weights{suffix}'
    (torch.save if suffix == '.pth' else save_file)(network.state_dict(), path)
    backbone = MODELS.build(dict(type='TimmBackbone', name='convnext_atto', checkpoint=str(path)))
    backbone.init_weights()
    assert torch.equal(
        backbone.net.state_dict()['stages_0.blocks.0.conv_dw.weight'],
        network.state_dict()['stages.0.blocks.0.conv_dw.weight'],
    )


def test_batch_norm_in_evaluation_mode_normalises_each_image_alone_and_trains_its_scale():
    backbone = MODELS.build(dict(type='TimmBackbone', name='resnet10t', pretrained=False, norm_eval=True)).train()
    before = {name: buffer.clone() for name, buffer in backbone.named_buffers()}
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    together, alone = backbone(images)[-1], backbone(images[:1])[-1]
    torch.testing.assert_close(together[:1], alone)
    together.square().mean().backward()
    assert backbone.net.bn1.weight.grad.abs().sum() > 0
    assert all(torch.equal(buffer, before[name]) for name, buffer in backbone.named_buffers())
    backbone.eval()
    evaluate_with_batch_statistics(backbone)
    torch.testing.assert_close(backbone(images[:1])[-1], alone)
