"""Deformable attention against loops, and the adapter at other sizes."""

import math

import pytest
import timm
import torch
from mmengine.registry import init_default_scope
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from udass.models.backbones.deformable_attention import DeformableAttention, cell_centres
from udass.models.backbones.vit_adapter import ViTAdapter
from udass.models.heads.pyramid_head import PyramidHead, UpscalingHead
from udass.models.segmentors import SlidingEncoderDecoder

SIZES = [(3, 4), (2, 2)]


def bilinear(level, x, y):
    """Value (D,) at a point in pixels, whose centres are at 0.5, 1.5, ...; zero outside."""
    height, width = level.shape[:2]
    x, y = x - 0.5, y - 0.5
    result = torch.zeros(level.shape[2])
    for row in (int(y // 1), int(y // 1) + 1):
        for column in (int(x // 1), int(x // 1) + 1):
            if 0 <= row < height and 0 <= column < width:
                result += (1 - abs(x - column)) * (1 - abs(y - row)) * level[row, column]
    return result


@torch.no_grad()
def test_deformable_attention_is_its_definition():
    torch.manual_seed(0)
    attention = DeformableAttention(8, levels=2, heads=2, points=3)
    for parameter in attention.parameters():
        parameter.normal_()
    query, value = torch.randn(1, 5, 8), torch.randn(1, 16, 8)
    reference = torch.rand(5, 2)
    actual = attention(query, reference, value, SIZES)
    values = attention.value_proj(value)[0].unflatten(1, (2, 2)).split([12, 4])
    offsets = attention.sampling_offsets(query)[0].view(5, 2, 2, 3, 2)
    weights = attention.attention_weights(query)[0].view(5, 2, 6).softmax(-1).view(5, 2, 2, 3)
    expected = torch.zeros(5, 2, 2)
    for index in range(5):
        for head in range(2):
            for level, (height, width) in enumerate(SIZES):
                pixels = values[level][:, head].unflatten(0, (height, width))
                for point in range(3):
                    x, y = reference[index] * torch.tensor([width, height]) + offsets[index, head, level, point]
                    expected[index, head] += weights[index, head, level, point] * bilinear(pixels, x.item(), y.item())
    assert torch.allclose(actual[0], attention.output_proj(expected.flatten(1)), atol=1e-5)


def test_reference_points_are_cell_centres():
    points = cell_centres([(2, 2), (1, 4)], torch.zeros(1))
    assert points[:4].tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    assert points[4:].tolist() == [[0.125, 0.5], [0.375, 0.5], [0.625, 0.5], [0.875, 0.5]]


@pytest.mark.parametrize('name', ['vit_small_patch14_reg4_dinov2', 'vit_tiny_no_such_network'])
def test_transformers_that_do_not_fit_are_refused(name):
    with pytest.raises(ValueError, match='a class token only|has no network'):
        ViTAdapter(name, pretrained=False)


@register_model
def vit_4_blocks_of_14(pretrained=False, num_classes=0, global_pool='', **options):
    """As small as it can be, with the patches of DINOv2."""
    return VisionTransformer(56, 14, num_classes=0, global_pool='', embed_dim=64, depth=4, num_heads=2)


def test_maps_cover_images_that_are_not_square_and_recomputing_changes_nothing():
    torch.manual_seed(0)
    backbone = ViTAdapter('vit_4_blocks_of_14', pretrained=False)
    head = PyramidHead(backbone.channels, num_classes=3)
    with torch.no_grad():
        for interaction in backbone.interactions:
            interaction.injector.gamma.fill_(0.1)
    images = torch.randn(1, 3, 100, 300)
    maps = backbone(images)
    assert [tuple(part.shape) for part in maps] == [(1, 64, 224 // r, 448 // r) for r in (4, 8, 16, 32)]
    gradients = []
    for backbone.grad_checkpointing in (False, True):
        backbone.zero_grad()
        head(backbone(images)).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in backbone.parameters()])
    assert all(torch.allclose(plain, again, atol=1e-7) for plain, again in zip(*gradients, strict=True))


def test_the_light_head_enlarges_tokens_fourfold():
    head = UpscalingHead(in_channels=16, num_classes=5)
    assert head([torch.zeros(2, 16, 3, 4)]).shape == (2, 5, 12, 16)
    convolutions = [module for module in head.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 4 and all(module.bias is None for module in convolutions)


def test_the_pyramid_starts_from_the_published_distributions():
    """Kaiming uniform: bounds sqrt(6 / fan), by the inputs of convolutions and the outputs of transposed ones."""
    torch.manual_seed(0)
    head = PyramidHead(in_channels=[64] * 4, num_classes=5)
    head.init_weights()
    for layer, fan in ((head.smooth_convs[0], 32 * 9), (head.reduce_convs[0], 64), (head.up_convs[0], 64 * 4)):
        bound = math.sqrt(6 / fan)
        assert 0.9 * bound < layer.weight.abs().max() <= bound and not layer.bias.any()
    assert head.conv_seg.weight.std().item() == pytest.approx(0.1, rel=0.4)


def test_the_decoder_sees_the_images_of_the_distillation():
    """Its running statistics follow them, and its weights get no gradient."""
    init_default_scope('mmseg')
    channels = timm.create_model('test_resnet', features_only=True).feature_info.channels()[-1]
    head = dict(type='FCNHead', in_channels=channels, channels=4, num_convs=1, num_classes=3, norm_cfg=dict(type='BN'))
    segmentor = SlidingEncoderDecoder(
        backbone=dict(type='TimmBackbone', name='test_resnet', pretrained=False),
        decode_head=dict(**head, in_index=-1),
        test_cfg=dict(mode='whole'),
    )
    images, norm = torch.randn(2, 3, 64, 64), segmentor.decode_head.convs[0].bn
    before = norm.running_mean.clone()
    segmentor.eval()(images, mode='features')
    assert torch.equal(norm.running_mean, before)
    features = segmentor.train()(images, mode='features')
    assert not torch.equal(norm.running_mean, before)
    features[-1].sum().backward()
    assert all(parameter.grad is None for parameter in segmentor.decode_head.parameters())
