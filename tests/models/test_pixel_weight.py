import pytest
import torch
import torch.nn.functional as F

from tests.models.small import build, samples


@pytest.fixture
def head():
    options = dict(in_channels=[4], in_index=[0], channels=4, num_classes=3, dropout_ratio=0, align_corners=False)
    return build(dict(type='WeightedSegformerHead', norm_cfg=dict(type='BN'), **options))


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


def test_logits_are_resized_to_that_of_the_label(head):
    logits = torch.randn(1, 3, 2, 3)
    labels = torch.randint(0, 3, (1, 8, 12))
    wide = F.interpolate(logits, size=(8, 12), mode='bilinear', align_corners=False)
    loss = head.loss_by_feat(logits, samples(labels))['loss_ce']
    assert loss.item() == pytest.approx(F.cross_entropy(wide, labels).item(), rel=1e-5)


def test_weights_for_some_samples_only_are_refused(head):
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    with pytest.raises(AttributeError, match='gt_pixel_weight'):
        head.loss_by_feat(torch.randn(2, 3, 4, 4), [*samples(labels[:1], torch.ones(1, 4, 4)), *samples(labels[1:])])
