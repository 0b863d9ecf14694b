"""What is computed in a cheaper way gives what the plain way gives."""

import copy

import pytest
import torch
from mmseg.models import EncoderDecoder
from mmseg.models.utils import resize
from mmseg.structures import SegDataSample

from tests.models.small import CLASSES, plain
from udass.models.heads.daformer_head import DAFormerHead
from udass.models.heads.segformer_heads import SegFormerMLPHead

_CHANNELS = [4, 6, 8, 10]


def stages(seed=0):
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, 32 >> i, 48 >> i, generator=random) for i, channels in enumerate(_CHANNELS)]


def fused_after_enlarging(head, inputs):
    """As the decoders are written down: enlarge, join, then the 1x1 convolution."""
    of_segformer = isinstance(head, SegFormerMLPHead)
    layers = head.linear_c if of_segformer else head.embed_layers
    embedded = [
        resize(layer(stage), size=inputs[0].shape[2:], mode='bilinear', align_corners=False)
        for layer, stage in zip(layers, inputs, strict=True)
    ]
    joined = torch.cat(embedded, dim=1)
    return head.linear_pred(head.linear_fuse(joined)) if of_segformer else head.cls_seg(head.fuse_layer(joined))


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('kind', [SegFormerMLPHead, DAFormerHead])
def test_fusing_small_maps_equals_fusing_enlarged_ones(kind, training):
    torch.manual_seed(0)
    options = dict(fusion='conv', embed_channels=5) if kind is DAFormerHead else {}
    head = kind(in_channels=_CHANNELS, num_classes=CLASSES, channels=12, dropout_ratio=0, **options).double()
    head.train(training)
    plain_head, inputs = copy.deepcopy(head), [stage.double() for stage in stages()]
    results = head(inputs), fused_after_enlarging(plain_head, inputs)
    assert torch.allclose(*results, rtol=1e-9, atol=1e-9)
    for result in results:
        (result**2).sum().backward()
    for (name, value), other in zip(head.named_parameters(), plain_head.parameters(), strict=True):
        assert torch.allclose(value.grad, other.grad, rtol=1e-8, atol=1e-8), name
    for value, other in zip(head.buffers(), plain_head.buffers(), strict=True):
        assert torch.allclose(value, other)


def sample_of(size, **metainfo):
    return SegDataSample(metainfo=dict(ori_shape=size, img_shape=(64, 96), pad_shape=(64, 96), **metainfo))


@pytest.mark.parametrize(
    'metainfo',
    [
        dict(size=(64, 96)),
        dict(size=(60, 90)),
        dict(size=(64, 96), flip=True, flip_direction='horizontal'),
        dict(size=(60, 90), padding_size=[2, 4, 1, 3]),
        dict(size=(64, 96), flip=False, padding_size=[0, 0, 0, 0]),
    ],
)
@torch.no_grad()
def test_predictions_are_mmseg_s_whether_they_must_be_enlarged_or_not(metainfo):
    network = plain().eval()
    logits = torch.randn(2, CLASSES, 64, 96)
    ours = network.postprocess_result(logits, [sample_of(**metainfo) for _ in range(2)])
    theirs = EncoderDecoder.postprocess_result(network, logits, [sample_of(**metainfo) for _ in range(2)])
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one.pred_sem_seg.data, other.pred_sem_seg.data)
        assert torch.equal(one.seg_logits.data, other.seg_logits.data)
        assert one.metainfo == other.metainfo
