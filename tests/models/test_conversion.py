"""Conversion of published weights: there and back, nothing lost, nothing guessed."""

import pytest
import torch
from mmseg.registry import MODELS

import udass.models  # noqa: F401
from tests.models.small import accel, build, video
from udass.models.checkpoints import convert, find_layout, load_strictly, to_mmseg, to_reference

CHANNELS = [32, 64, 160, 256]


def segmentor(head):
    return build(dict(type='SlidingEncoderDecoder', backbone=dict(type='MiT', variant='b0'), decode_head=head))


@pytest.fixture(scope='module')
def daformer():
    """Our weights of a small DAFormer, and the reference's names for them."""
    own = segmentor(dict(type='DAFormerHead', in_channels=CHANNELS, num_classes=4, channels=16, embed_channels=8))
    return own, to_reference(own.state_dict())


@pytest.fixture(scope='module')
def segformer():
    return segmentor(dict(type='SegFormerMLPHead', in_channels=CHANNELS, num_classes=4, channels=16))


def assert_identical(actual, expected):
    assert actual.keys() == expected.keys()
    for key, value in actual.items():
        assert value.dtype == expected[key].dtype and torch.equal(value, expected[key]), key


def training_checkpoint(weights):
    """The three networks of a published checkpoint, told apart by a constant."""
    return {
        prefix + key: value + offset
        for offset, prefix in enumerate(('model.', 'ema_model.', 'imnet_model.'))
        for key, value in weights.items()
    }


def test_there_and_back_gives_identical_tensors(daformer):
    own, published = daformer
    conversion = convert(published)
    assert conversion.layout == 'segmentor' and conversion.dropped == {}
    assert_identical(conversion.weights, own.state_dict())
    assert_identical(to_reference(conversion.weights), published)


def test_names_of_the_reference(daformer):
    own, published = daformer
    state = own.state_dict()
    projection = state['backbone.layers.2.1.1.attn.attn.in_proj_weight']
    assert torch.equal(published['backbone.block3.1.attn.q.weight'], projection[:160])
    assert torch.equal(published['backbone.block3.1.attn.kv.weight'], projection[160:])
    assert published['backbone.block1.0.mlp.fc1.weight'].shape == (128, 32)
    assert torch.equal(published['backbone.patch_embed4.proj.bias'], state['backbone.layers.3.0.projection.bias'])
    assert torch.equal(published['backbone.norm2.weight'], state['backbone.layers.1.2.weight'])


@pytest.mark.parametrize('branch, offset', [('student', 0), ('teacher', 1)])
def test_branches_of_a_training_checkpoint(daformer, branch, offset):
    own, published = daformer
    conversion = convert(training_checkpoint(published), source='daformer', branch=branch)
    assert_identical(conversion.weights, {key: value + offset for key, value in own.state_dict().items()})
    assert len(conversion.dropped) == 2 * len(published)
    text = '\n'.join(conversion.summary())
    assert f'dropped {len(published)} (imnet_model.backbone.' in text and 'ImageNet copy' in text


def test_a_checkpoint_of_this_project(daformer):
    own, _ = daformer
    weights = {
        **{f'student.{key}': value for key, value in own.state_dict().items()},
        **{f'teacher.{key}': value + 1 for key, value in own.state_dict().items()},
        'mixing.template.frames': torch.zeros(1),
    }
    conversion = convert(weights, branch='teacher')
    assert conversion.layout == 'training checkpoint of this project'
    assert_identical(conversion.weights, {key: value + 1 for key, value in own.state_dict().items()})
    assert 'templates' in conversion.dropped['mixing.template.frames']


def test_a_missing_branch_is_named(daformer):
    _, published = daformer
    only_student = {f'model.{key}': value for key, value in published.items()}
    with pytest.raises(ValueError, match=r'no teacher \(keys ema_model\.\*\); it has model'):
        convert(only_student, branch='teacher')


def test_imagenet_weights_of_mit_lose_their_classifier(daformer):
    own, published = daformer
    backbone = {key.removeprefix('backbone.'): value for key, value in published.items() if key.startswith('backbone.')}
    conversion = convert({**backbone, 'head.weight': torch.zeros(10, 256), 'head.bias': torch.zeros(10)}, source='mit')
    assert_identical(conversion.weights, dict(own.backbone.state_dict()))
    assert conversion.dropped == {'head.weight': 'ImageNet classifier', 'head.bias': 'ImageNet classifier'}
    assert_identical(convert(conversion.weights).weights, conversion.weights)
    assert_identical(to_reference(conversion.weights), backbone)


def test_unused_classifier_of_the_published_segformer_head_is_dropped(segformer):
    published = to_reference(segformer.state_dict())
    published['decode_head.conv_seg.weight'] = torch.zeros(4, 128, 1, 1)
    conversion = convert(published)
    assert_identical(conversion.weights, dict(segformer.state_dict()))
    assert list(conversion.dropped) == ['decode_head.conv_seg.weight']


@pytest.mark.parametrize(
    'key',
    [
        'backbone.block1.0.attn.rope.weight',
        'backbone.patch_embed5.extra.weight',
        'decode_head.embed_layers.0.norm.weight',
        'auxiliary_head.conv_seg.weight',
    ],
)
def test_unknown_keys_are_named_not_dropped(daformer, key):
    _, published = daformer
    with pytest.raises(ValueError, match=key.removeprefix('backbone.')):
        convert({**published, key: torch.zeros(1)})


def test_resnet_checkpoints_keep_their_names():
    head = dict(type='DLV2Head', in_channels=512, num_classes=4, dilations=(6, 12))
    backbone = dict(type='ResNetV1c', depth=18)
    network = build(dict(type='SlidingEncoderDecoder', backbone=backbone, decode_head=head))
    published = dict(network.state_dict())
    assert_identical(convert(published).weights, published)
    training = training_checkpoint(published)
    assert_identical(convert(training, source='daformer').weights, published)
    with pytest.raises(ValueError, match='decode_head.bottleneck.conv.weight'):
        convert({**training, 'model.decode_head.bottleneck.conv.weight': torch.zeros(1)})


def test_a_query_without_keys_and_values_is_named(daformer):
    _, published = daformer
    for lost, left in (('kv', 'q'), ('q', 'kv')):
        broken = {key: value for key, value in published.items() if key != f'backbone.block2.0.attn.{lost}.bias'}
        with pytest.raises(ValueError, match=f'block2.0.attn.{left}.bias lacks its partner block2.0.attn.{lost}.bias'):
            convert(broken)


def test_source_must_be_what_the_keys_show(daformer):
    _, published = daformer
    with pytest.raises(ValueError, match='--from mit expects: MiT weights or .*use --from auto for: segmentor'):
        convert(published, source='mit')
    with pytest.raises(ValueError, match='no decoder of two scales'):
        convert(published, source='hrda')
    with pytest.raises(ValueError, match='source is one of mit, daformer'):
        convert(published, source='dacs')
    with pytest.raises(ValueError, match='keys begin with features'):
        find_layout(['features.0.weight'])


def test_strict_loading_names_missing_extra_and_misshapen_keys(daformer):
    own, _ = daformer
    weights = dict(own.state_dict())
    before = weights['decode_head.conv_seg.bias'].clone()
    del weights['backbone.layers.0.2.weight']
    weights['backbone.layers.9.2.weight'] = torch.zeros(1)
    weights['decode_head.conv_seg.weight'] = torch.zeros(19, 16, 1, 1)
    weights['decode_head.conv_seg.bias'] = torch.zeros(4)
    with pytest.raises(ValueError) as error:
        load_strictly(own, weights, 'file.pth')
    message = str(error.value)
    assert '1 missing: backbone.layers.0.2.weight' in message
    assert '1 unknown to it: backbone.layers.9.2.weight' in message
    assert '1 of another shape: decode_head.conv_seg.weight (19, 16, 1, 1) instead of (4, 16, 1, 1)' in message
    assert 'file.pth' in message
    assert torch.equal(own.decode_head.conv_seg.bias, before), 'nothing may be loaded from a file that does not fit'


@torch.no_grad()
def test_segformer_in_plain_mmsegmentation_gives_the_same_logits(segformer):
    weights, notes = to_mmseg(segformer.state_dict())
    backbone = dict(type='MixVisionTransformer', embed_dims=32, num_layers=[2, 2, 2, 2], num_heads=[1, 2, 5, 8])
    head = dict(type='SegformerHead', channels=16, num_classes=4, norm_cfg=dict(type='BN'), act_cfg=None)
    head.update(in_channels=CHANNELS, in_index=[0, 1, 2, 3])
    plain = build(dict(type='EncoderDecoder', backbone=backbone, decode_head=head, test_cfg=dict(mode='whole')))
    load_strictly(plain, weights, 'export')
    images = torch.randn(2, 3, 64, 96)
    ours, theirs = segformer.eval()(images), plain.eval()(images)
    # 1e-4: MMSegmentation's LayerNorm eps, which the note mentions.
    torch.testing.assert_close(theirs, ours, atol=1e-4, rtol=1e-4)
    assert 'act_cfg=None' in notes[1] and 'channels=16' in notes[1] and '1e-6' in notes[0]


def test_other_heads_for_mmsegmentation_say_what_they_need(daformer):
    own, _ = daformer
    weights, notes = to_mmseg(own.state_dict())
    assert_identical(weights, dict(own.state_dict()))
    assert "custom_imports=dict(imports=['udass.all_modules'])" in notes[1]


def published_video(network):
    """Our weights under the published names; every tensor has a content of its own."""
    state = {key: torch.randn(value.shape).to(value.dtype) for key, value in network.state_dict().items()}
    return state, to_reference(state)


def test_video_transformer_there_and_back():
    own, published = published_video(video())
    assert published['decoder.sf_layer.weight'].shape == (4, 8, 1, 1)
    assert torch.equal(published['model.norm2.weight'], own['backbone.layers.1.2.weight'])
    conversion = convert(published, source='udass-video')
    assert conversion.layout == 'video transformer' and conversion.dropped == {}
    assert_identical(conversion.weights, own)
    assert 'FlowGuidedEncoderDecoder' in to_mmseg(own)[1][1]
    with pytest.raises(ValueError, match='1 keys have no known place: decode_head.gate.weight'):
        convert({**published, 'decoder.gate.weight': torch.zeros(1)})


def test_video_cnn_there_and_back():
    own, published = published_video(accel())
    assert torch.equal(published['layer5.conv2d_list.3.bias'], own['auxiliary_head.aspp_modules.3.conv.bias'])
    assert torch.equal(published['layer7.conv2d_list.0.weight'], own['decode_head.aspp_modules.0.conv.weight'])
    assert torch.equal(published['layer7.head.1.weight'], own['decode_head.conv_seg.weight'])
    conversion = convert(published, source='udass-video')
    assert conversion.layout == 'video CNN' and conversion.dropped == {}
    assert_identical(conversion.weights, own)
    with pytest.raises(ValueError, match='1 keys have no known place: layer6.conv2d_list.0.bias'):
        convert({**published, 'layer6.conv2d_list.0.bias': torch.zeros(4)})


def test_imagenet_weights_of_deeplab_lose_their_prefix_and_decoder():
    backbone = MODELS.build(dict(type='CaffeResNet', depth=50))
    published = {f'Scale.{key}': value for key, value in backbone.state_dict().items()}
    published['Scale.layer5.conv2d_list.0.weight'] = torch.zeros(21, 2048, 3, 3)
    conversion = convert(published)
    assert_identical(conversion.weights, dict(backbone.state_dict()))
    assert list(conversion.dropped) == ['Scale.layer5.conv2d_list.0.weight']


def test_the_classifier_of_a_published_adapter_is_left_out_and_other_keys_are_refused():
    """The adapters that VFM-UDA++ starts from were trained on ImageNet."""
    published = {f'network.{name}': torch.zeros(2) for name in ('encoder.cls_token', 'head.weight', 'head.bias')}
    conversion = convert(published, source='vfm')
    assert list(conversion.weights) == ['backbone.net.cls_token']
    assert conversion.dropped == {'head.weight': 'ImageNet classifier', 'head.bias': 'ImageNet classifier'}
    with pytest.raises(ValueError, match='1 keys have no known place: gate.weight'):
        convert({**published, 'network.gate.weight': torch.zeros(2)}, source='vfm')
