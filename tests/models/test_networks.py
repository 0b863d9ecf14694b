"""Backbones and heads by themselves: what the goldens do not reach."""

import pytest
import timm
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS

from tests.models.small import CLASSES, build, daformer_head, plain, samples
from tests.reference.networks import MODEL_CONFIGS, segmentor_config
from udass.models.backbones.dinov2 import DINOv2
from udass.models.backbones.mit import VARIANTS
from udass.models.backbones.timm import TimmViT
from udass.models.checkpoints import to_reference

BASES = sorted(path.stem for path in MODEL_CONFIGS.glob('*.py') if not path.stem.startswith('small_'))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def test_mit_normalises_as_the_reference():
    backbone = MODELS.build(dict(type='MiT', variant='b1'))
    eps = {name: module.eps for name, module in backbone.named_modules() if isinstance(module, torch.nn.LayerNorm)}
    reference = {name: to_reference({f'{name}.weight': torch.zeros(1)}) for name in eps}
    for name, keys in reference.items():
        (key,) = keys
        assert eps[name] == (1e-5 if 'patch_embed' in key or 'attn.norm' in key else 1e-6), key


def test_mit_drops_paths_linearly_up_to_the_reference_s_rate():
    backbone = MODELS.build(dict(type='MiT', variant='b0'))
    rates = [block.ffn.dropout_layer.drop_prob for _, blocks, _ in backbone.layers for block in blocks]
    assert rates == pytest.approx([0.1 * i / 7 for i in range(8)])


@torch.no_grad()
def test_mit_is_mmseg_s_apart_from_the_norms():
    ours = MODELS.build(dict(type='MiT', variant='b0')).double().eval()
    dims, layers = VARIANTS['b0']
    theirs = MixVisionTransformer(embed_dims=dims, num_layers=layers, num_heads=[1, 2, 5, 8]).double().eval()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    for patch_embed, blocks, _ in theirs.layers:
        patch_embed.norm.eps = 1e-5
        for block in blocks:
            if block.attn.sr_ratio > 1:
                block.attn.norm.eps = 1e-5
    images = torch.randn(1, 3, 75, 96, dtype=torch.float64)
    for actual, expected in zip(ours(images), theirs(images), strict=True):
        torch.testing.assert_close(actual, expected, atol=1e-9, rtol=1e-9)


def test_unknown_choices_are_named():
    with pytest.raises(ValueError, match="variants b0, b1, b2, b3, b4, b5; got 'b6'"):
        MODELS.build(dict(type='MiT', variant='b6'))
    with pytest.raises(ValueError, match="'aspp' or 'conv'; got 'isa'"):
        MODELS.build(daformer_head(fusion='isa'))


@pytest.mark.parametrize(
    'head',
    [
        daformer_head(),
        daformer_head(fusion='conv'),
        dict(
            type='SegFormerMLPHead', in_channels=[32, 64, 160, 256], num_classes=CLASSES, channels=16, dropout_ratio=0.0
        ),
    ],
)
def test_every_parameter_gets_a_gradient_and_weights_scale_the_loss(head):
    """Parameters without one would stop distributed training; half the weight is half the loss."""
    network = plain(decode_head=head).train()
    images, labels = torch.randn(2, 3, 64, 64), torch.randint(CLASSES, (2, 64, 64))
    loss = network.loss(images, samples(labels))['decode.loss_ce']
    loss.backward()
    assert [name for name, parameter in network.named_parameters() if parameter.grad is None] == []
    half = network.loss(images, samples(labels, torch.full((2, 64, 64), 0.5)))['decode.loss_ce']
    torch.testing.assert_close(half, loss / 2)


def test_auxiliary_heads_and_necks_take_part():
    aux = dict(type='DLV2Head', in_channels=256, num_classes=CLASSES, dilations=(1, 2))
    neck = dict(type='MultiLevelNeck', in_channels=[32, 64, 160, 256], out_channels=256, scales=[1, 1, 1, 1])
    network = plain(auxiliary_head=aux, neck=neck, decode_head={**aux, 'dilations': (1,)})
    labelled = samples(torch.zeros(1, 64, 64, dtype=torch.long))
    losses, features, *_ = network(torch.randn(1, 3, 64, 64), labelled, mode='outputs')
    assert losses.keys() == {'decode.loss_ce', 'aux.loss_ce'}
    assert [feature.shape[1] for feature in features] == [256] * 4


def test_initial_logits_are_those_of_an_undecided_classifier():
    """The classifiers start near zero (std 0.01); a missed init_cfg would leave them large."""
    for head in (
        dict(type='SegFormerMLPHead', in_channels=[32, 64, 160, 256], num_classes=19),
        dict(type='DLV2Head', in_channels=512, num_classes=19),
    ):
        module = MODELS.build(head)
        module.init_weights()
        classifier = module.linear_pred if hasattr(module, 'linear_pred') else module.aspp_modules[0].conv
        assert 0.008 < classifier.weight.std() < 0.012 and classifier.bias.abs().max() == 0


@pytest.mark.parametrize('name', ['vit_small_patch14_reg4_dinov2', 'vit_small_patch16_dinov3'])
@torch.no_grad()
def test_plain_vit_covers_any_image_with_one_stride(name):
    backbone = TimmViT(name, pretrained=False).eval()
    for size, tokens in (((64, 96), (4, 6)), ((75, 50), (5, 4))):
        features = backbone(torch.randn(1, 3, *size))
        assert [tuple(feature.shape) for feature in features] == [(1, 384, *tokens)] * 4


def test_plain_vit_reads_its_authors_files_completely(tmp_path):
    backbone = TimmViT('vit_small_patch14_reg4_dinov2', checkpoint=str(tmp_path / 'dinov2.pth'))
    own = {key: torch.randn_like(value) for key, value in backbone.net.state_dict().items()}
    published = {key: value for key, value in own.items() if key not in ('reg_token', 'pos_embed')}
    # The authors store registers under another name, the class token's position with the others, and a mask token.
    published |= {
        'register_tokens': own['reg_token'],
        'mask_token': torch.zeros(1, 384),
        'pos_embed': torch.cat([torch.zeros(1, 1, 384), own['pos_embed']], dim=1),
    }
    torch.save(published, tmp_path / 'dinov2.pth')
    backbone.init_weights()
    for key, value in backbone.net.state_dict().items():
        assert torch.equal(value, own[key]), key
    del published['norm.weight']
    torch.save(published, tmp_path / 'dinov2.pth')
    with pytest.raises(ValueError, match=r'dinov2.pth does not fit .* 1 missing: norm.weight'):
        backbone.init_weights()


@pytest.mark.parametrize('published', [True, False])
def test_the_mask_token_is_that_of_the_file(published, tmp_path):
    backbone = DINOv2('test_vit', checkpoint=str(tmp_path / 'dinov2.pth'), multiple=48, mask_token=True)
    weights = dict(backbone.net.state_dict())
    if published:
        weights['mask_token'] = torch.full((1, backbone.channels[0]), 0.5)
    torch.save(weights, tmp_path / 'dinov2.pth')
    backbone.init_weights()
    assert (backbone.mask_token == (0.5 if published else 0)).all()


def test_plain_vit_reads_safetensors(tmp_path):
    from safetensors.torch import save_file

    net = timm.create_model('vit_tiny_patch16_224', num_classes=0)
    save_file(net.state_dict(), tmp_path / 'model.safetensors')
    backbone = TimmViT('vit_tiny_patch16_224', checkpoint=str(tmp_path / 'model.safetensors'))
    backbone.init_weights()
    assert torch.equal(backbone.net.blocks[3].mlp.fc1.weight, net.blocks[3].mlp.fc1.weight)


@pytest.mark.parametrize('name', BASES)
def test_base_configs_name_their_weights_and_build(name, monkeypatch):
    # Their values do not matter here, and drawing those of large networks takes longer than all else.
    for function in ('kaiming_uniform_', 'kaiming_normal_', 'trunc_normal_', 'normal_', 'uniform_'):
        monkeypatch.setattr(torch.nn.init, function, lambda tensor, *args, **options: tensor)
    config = Config.fromfile(MODEL_CONFIGS / f'{name}.py').segmentor
    if config.backbone.type in ('TimmViT', 'DINOv2', 'ViTAdapter'):
        assert config.backbone.pretrained
    else:
        assert config.backbone.init_cfg.type == 'StrictPretrained'
        assert config.backbone.init_cfg.checkpoint.startswith('https://')
        if config.backbone.type != 'CaffeResNet':  # its file's name does not say the depth
            assert config.backbone.get('variant', '101') in config.backbone.init_cfg.checkpoint
    if config.backbone.type == 'MiT':
        assert config.backbone.drop_path_rate == 0.1
    # The largest ViTs have gigabytes of weights.
    with torch.device('meta' if 'vit' in name else 'cpu'):
        network = build(segmentor_config(name))
    # Cityscapes' classes, or VIPER's; others are named.
    assert network.num_classes == {'12': 12, '15': 15}.get(name.split('_')[-1], 15 if name.startswith('video_') else 19)
    parts = name.split('_')
    kind = ''.join(['FlowGuided' * ('video' in parts), 'HRDA' * ('hrda' in parts)]) or 'Sliding'
    assert type(network).__name__ == f'{kind}EncoderDecoder'


@pytest.mark.slow
def test_foundation_network_takes_a_training_step_and_predicts():
    network = build(segmentor_config('vfmuda_vits')).train()
    labels, mask = torch.randint(19, (2, 64, 96)), torch.rand(2, 16, 16) < 0.5
    outputs = network(torch.randn(2, 3, 64, 96), samples(labels), mode='outputs', token_mask=mask)
    sum(outputs.losses.values()).backward()
    assert [key for key, parameter in network.named_parameters() if parameter.grad is None] == []
    with torch.no_grad():
        assert network.eval().encode_decode(torch.randn(1, 3, 75, 97), []).shape == (1, 19, 75, 97)
