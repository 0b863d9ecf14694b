"""Every decode head that MMSegmentation registers: it carries the weights of pixels, or is refused when built."""

import inspect

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import nn

from udass.models.heads.checking import check_heads
from udass.models.losses.pixel_weight import PixelWeightMixin, weigh_heads

CLASSES = 3
_NORM = dict(type='BN', requires_grad=True)
_ONE = dict(in_channels=8, in_index=1, channels=4, num_classes=CLASSES, norm_cfg=_NORM, dropout_ratio=0)
_TWO = dict(_ONE, in_channels=[8, 8], in_index=[0, 1])
_FCN = dict(type='FCNHead', **{**_ONE, 'channels': 8, 'num_convs': 1, 'concat_input': False})
# Arguments of every head that can be built without compiled operations, for two feature maps of 8 channels.
HEADS = {
    'ANNHead': dict(_TWO, project_channels=4, dropout_ratio=0.1),
    'APCHead': _ONE,
    'ASPPHead': dict(_ONE, dilations=(1, 2)),
    'DAHead': dict(_ONE, pam_channels=2),
    'DMHead': _ONE,
    'DNLHead': _ONE,
    'EMAHead': dict(_ONE, ema_channels=8, num_bases=2, num_stages=1),
    'FCNHead': _ONE,
    'FPNHead': dict(_TWO, feature_strides=[4, 8]),
    'GCHead': dict(_ONE, ratio=0.5),
    'ISAHead': dict(_ONE, isa_channels=4, down_factor=(2, 2)),
    'LightHamHead': dict(_TWO, ham_channels=8, ham_kwargs=dict(MD_R=2), norm_cfg=dict(type='GN', num_groups=1)),
    'NLHead': _ONE,
    'OCRHead': dict(_ONE, ocr_channels=4),
    'PSPHead': dict(_ONE, pool_scales=(1, 2)),
    'SETRMLAHead': dict(_TWO, channels=8, mla_channels=4),
    'SETRUPHead': dict(_ONE, norm_cfg=dict(type='BN')),
    'SegformerHead': _TWO,
    'SegmenterMaskTransformerHead': dict(
        {key: value for key, value in _ONE.items() if key != 'norm_cfg'},
        embed_dims=8,
        channels=8,
        num_layers=1,
        num_heads=1,
    ),
    'DepthwiseSeparableASPPHead': dict(_ONE, dilations=(1, 2), c1_in_channels=0, c1_channels=0),
    'DepthwiseSeparableFCNHead': dict(_ONE, dw_act_cfg=None),
    'UPerHead': dict(_TWO, pool_scales=(1, 2)),
    'IterativeDecodeHead': dict(
        num_stages=1,
        kernel_generate_head=_FCN,
        kernel_update_head=[
            dict(
                type='KernelUpdateHead',
                num_classes=CLASSES,
                num_heads=1,
                num_mask_fcs=1,
                feedforward_channels=8,
                in_channels=8,
                out_channels=8,
                conv_kernel_size=1,
                kernel_updator_cfg=dict(
                    type='KernelUpdator',
                    in_channels=8,
                    feat_channels=8,
                    out_channels=8,
                    act_cfg=dict(type='ReLU'),
                    norm_cfg=dict(type='LN'),
                ),
            )
        ],
    ),
    'WeightedSegformerHead': _TWO,
    'ACCELHead': dict(in_channels=8, num_classes=CLASSES, channels=4, dilations=(1, 2), dropout_ratio=0),
    'DAFormerHead': dict(
        in_channels=[8, 8], num_classes=CLASSES, embed_channels=4, channels=4, dilations=(1, 2), dropout_ratio=0
    ),
    'DLV2Head': dict(in_channels=8, num_classes=CLASSES, dilations=(1, 2)),
    'SegFormerMLPHead': dict(in_channels=[8, 8], num_classes=CLASSES, channels=4, dropout_ratio=0),
}
# Heads whose loss has other parts than the cross-entropy of pixels: for source labels only.
OWN_LOSS = {
    'DDRHead': dict(_ONE, loss_decode=[dict(type='CrossEntropyLoss')] * 2),
    'EncHead': dict(_TWO, num_codes=2),
    'STDCHead': dict(_ONE, num_classes=2, num_convs=1, loss_decode=dict(type='CrossEntropyLoss')),
}
# Heads that learn from what no data set of classes has.
OTHER_LABELS = {
    'PIDHead': dict(in_channels=8, channels=4, num_classes=CLASSES, norm_cfg=_NORM),
    'VPDDepthHead': dict(
        in_channels=[16, 16], embed_dim=16, feature_dim=16, num_deconv_layers=1, num_deconv_filters=[16]
    ),
}
# Heads that cannot be built here: without compiled operations, or a language model.
NOT_BUILT = {'CCHead', 'PSAHead', 'PointHead', 'SideAdapterCLIPHead'}
# The one reassembles tokens of a ViT, the other wants large maps; both take a step in test_base_models.py.
ELSEWHERE = {'PyramidHead', 'UpscalingHead', 'DPTHead', 'LRASPPHead'}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def network_with(name, arguments):
    torch.manual_seed(0)
    network = nn.Module()
    network.decode_head = MODELS.build(dict(type=name, **arguments))
    weigh_heads(network)
    return network.train()


def logits_of(head, features):
    """What the head's loss is computed of: logits, or several of them."""
    if name_of(head) == 'OCRHead':
        return head(features, torch.randn(2, CLASSES, 8, 8, generator=torch.Generator().manual_seed(2)))
    return head(features)


def name_of(head):
    return type(head).__name__


def samples(labels, weights):
    result = []
    for label, weight in zip(labels, [None] * len(labels) if weights is None else weights, strict=True):
        sample = SegDataSample(gt_sem_seg=PixelData(data=label[None]))
        if weight is not None:
            sample.gt_pixel_weight = PixelData(data=weight[None])
        result.append(sample)
    return result


def test_the_lists_hold_every_registered_head():
    registered = {
        name
        for name, component in MODELS.module_dict.items()
        if inspect.isclass(component)
        and issubclass(component, BaseDecodeHead)
        and component.__module__.startswith(('mmseg', 'udass'))
    }
    assert registered == {*HEADS, *OWN_LOSS, *OTHER_LABELS, *NOT_BUILT, *ELSEWHERE}


@pytest.mark.parametrize('name', HEADS)
def test_every_term_of_the_loss_carries_the_weights_of_pixels(name):
    network = network_with(name, HEADS[name])
    check_heads(network, needs_weights=True)
    head, random = network.decode_head, torch.Generator().manual_seed(1)
    features = [torch.randn(2, 8, 8, 8, generator=random) for _ in range(2)]
    labels = torch.randint(0, CLASSES, (2, 16, 16), generator=random)
    logits = logits_of(head, features)
    plain = head.loss_by_feat(logits, samples(labels, None))
    none = head.loss_by_feat(logits, samples(labels, torch.zeros(2, 16, 16)))
    half = head.loss_by_feat(logits, samples(labels, torch.full((2, 16, 16), 0.5)))
    assert plain and plain.keys() == none.keys() == half.keys()
    for key, value in plain.items():
        assert value > 0 and none[key] == 0, key
        torch.testing.assert_close(half[key], value / 2)


@pytest.mark.parametrize('name', OWN_LOSS)
def test_a_head_with_a_loss_of_its_own_is_refused_with_pseudo_labels(name):
    network = network_with(name, OWN_LOSS[name])
    assert not isinstance(network.decode_head, PixelWeightMixin)
    check_heads(network, needs_weights=False)
    with pytest.raises(ValueError, match=rf'decode_head \({name}\) computes its loss by itself'):
        check_heads(network, needs_weights=True)


@pytest.mark.parametrize('name', OTHER_LABELS)
@pytest.mark.parametrize('needs_weights', [False, True])
def test_a_head_that_learns_from_edges_or_depth_is_refused(name, needs_weights):
    with pytest.raises(ValueError, match='computes its loss by itself' if needs_weights else 'edges or depth'):
        check_heads(network_with(name, OTHER_LABELS[name]), needs_weights)


def test_heads_of_queries_are_refused_with_pseudo_labels():
    """MaskFormer's and Mask2Former's heads are no BaseDecodeHead."""
    network = nn.Module()
    network.decode_head = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r'decode_head \(Linear\) computes its loss by itself'):
        check_heads(network, needs_weights=True)


def test_the_name_and_the_weights_of_a_head_stay():
    """A head is the one of mmseg but for the loss: same name, same parameters, one class per kind of head."""
    first, second = (network_with('FCNHead', _ONE).decode_head for _ in range(2))
    assert type(first) is type(second) and name_of(first) == 'FCNHead' and isinstance(first, PixelWeightMixin)
    plain = MODELS.build(dict(type='FCNHead', **_ONE))
    assert first.state_dict().keys() == plain.state_dict().keys()
