import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@pytest.fixture
def head():
    init_default_scope('mmseg')
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='WeightedSegformerHead',
            in_channels=[4],
            in_index=[0],
            channels=4,
            num_classes=3,
            dropout_ratio=0,
            norm_cfg=dict(type='BN'),
            align_corners=False,
        )
    )


def samples(labels, weights=None):
    result = []
    for i, label in enumerate(labels):
        sample = SegDataSample()
        sample.gt_sem_seg = PixelData(data=label[None])
        if weights is not None and weights[i] is not None:
            sample.gt_pixel_weight = PixelData(data=weights[i][None])
        result.append(sample)
    return result


def test_loss_is_the_weighted_sum_over_all_pixels_ignored_ones_included(head):
    logits = torch.randn(2, 3, 4, 6)
    labels = torch.randint(0, 3, (2, 4, 6))
    labels[:, 0] = 255
    weights = torch.rand(2, 4, 6)
    loss = head.loss_by_feat(logits, samples(labels, weights))['loss_ce']
    valid = labels != 255
    by_pixel = F.cross_entropy(logits, labels.where(valid, 0), reduction='none') * valid
    assert loss.item() == pytest.approx((by_pixel * weights).sum().item() / (2 * 4 * 6), rel=1e-5)
    plain = head.loss_by_feat(logits, samples(labels))['loss_ce']
    assert plain.item() == pytest.approx(by_pixel.sum().item() / (2 * 4 * 6), rel=1e-5)


def test_scores_are_brought_to_the_size_of_the_label(head):
    logits = torch.randn(1, 3, 2, 3)
    labels = torch.randint(0, 3, (1, 8, 12))
    wide = F.interpolate(logits, size=(8, 12), mode='bilinear', align_corners=False)
    loss = head.loss_by_feat(logits, samples(labels))['loss_ce']
    assert loss.item() == pytest.approx(F.cross_entropy(wide, labels).item(), rel=1e-5)


def test_weights_for_some_samples_only_are_refused(head):
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match='1 of 2 data samples carry gt_pixel_weight'):
        head.loss_by_feat(torch.randn(2, 3, 4, 4), samples(labels, [torch.ones(4, 4), None]))
