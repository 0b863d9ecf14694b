import pytest
import torch
from mmengine.registry import init_default_scope
from torch import nn

from tests.uda.small import METHODS, build, unlabelled
from udass.uda import EMA, BlockMasking, ConfidencePseudoLabels
from udass.uda.ema import evaluate_with_batch_statistics


def test_first_update_copies_and_later_ones_follow_the_schedule():
    student, teacher = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    ema = EMA(alpha=0.6)
    expected = None
    for step, value in enumerate([2.0, 4.0, 10.0, 0.0]):
        nn.init.constant_(student.weight, value)
        ema.update(teacher, student)
        keep = min(1 - 1 / (step + 1), 0.6)
        expected = value if expected is None else keep * expected + (1 - keep) * value
        assert teacher.weight.item() == pytest.approx(expected)


def test_a_resumed_teacher_is_not_overwritten_by_the_student():
    student, teacher = nn.Linear(1, 1), nn.Linear(1, 1)
    before = EMA()
    for _ in range(5):
        before.update(teacher, student)
    after = EMA()
    after.load_state_dict(before.state_dict())
    nn.init.constant_(teacher.weight, 1.0)
    nn.init.constant_(student.weight, 0.0)
    after.update(teacher, student)
    assert teacher.weight.item() == pytest.approx(1 - 1 / 6)


@pytest.mark.parametrize(('copy', 'mean'), [(False, 0.0), (True, 3.0)])
def test_buffers_are_copied_on_request(copy, mean):
    student, teacher = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    student.running_mean.fill_(3.0)
    EMA(copy_buffers=copy).update(teacher, student)
    assert teacher.running_mean.item() == mean


def test_alpha_outside_its_range_is_refused():
    with pytest.raises(ValueError, match=r'in \[0, 1\); got 1'):
        EMA(alpha=1.0)


def test_teacher_mode_has_batch_statistics_and_nothing_random():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout2d(0.5))
    evaluate_with_batch_statistics(network)
    images = 5 + torch.rand(2, 3, 8, 8)
    assert torch.equal(network(images), network(images))
    assert network(images).mean().abs() < 1e-5
    assert not network[2].training


def test_weight_is_the_share_of_confident_pixels_of_the_whole_batch():
    logits = torch.zeros(2, 2, 2, 2)
    logits[0, 1] = 10.0
    label = ConfidencePseudoLabels(threshold=0.9)(logits)
    assert label.labels[0].unique().tolist() == [1]
    assert torch.allclose(label.confidence[0], torch.tensor(10.0).sigmoid())
    assert torch.allclose(label.confidence[1], torch.tensor(0.5))
    assert (label.weights == 0.5).all()


def test_untrusted_pixels_get_weight_zero_but_still_count_in_the_share():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 10.0
    valid = torch.ones(1, 1, 4, 4)
    valid[..., 2] = 0
    weights = ConfidencePseudoLabels(threshold=0.9)(logits, valid).weights[0]
    assert torch.equal(weights, valid[0, 0])
    assert (ConfidencePseudoLabels(threshold=0.9, use_margins=False)(logits, valid).weights == 1).all()


def test_a_loaded_teacher_is_not_overwritten_by_the_first_update():
    ema, teacher, student = EMA(alpha=0.9), nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.constant_(teacher.weight, 1.0)
    nn.init.constant_(student.weight, 2.0)
    ema.keep_teacher()
    ema.update(teacher, student)
    assert teacher.weight.item() == pytest.approx(1.1)


def test_block_mask_has_its_ratio_and_whole_blocks():
    masking = BlockMasking(block_size=4, ratio=0.7)
    blocks = masking.draw(50, (64, 96), torch.Generator().manual_seed(0))
    assert blocks.shape == (50, 1, 16, 24)
    assert blocks.mean().item() == pytest.approx(0.3, abs=0.01)
    frames = masking.apply(torch.ones(50, 1, 3, 64, 96), blocks, torch.tensor([0.0, 5.0, 7.0]).reshape(3, 1, 1))
    assert torch.equal(frames[:, 0, :1, ::4, ::4], blocks)
    assert torch.equal(frames[:, 0, 0, 3::4, 3::4], blocks[:, 0])
    assert torch.equal(frames[:, 0, 1] == 5, frames[:, 0, 0] == 0)


def test_block_mask_covers_sizes_that_are_no_multiple_of_the_block():
    masking = BlockMasking(4, ratio=0.5)
    blocks = masking.draw(1, (10, 13), torch.Generator().manual_seed(0))
    assert blocks.shape == (1, 1, 3, 4)
    assert masking.apply(torch.ones(1, 1, 3, 10, 13), blocks, torch.zeros(())).shape == (1, 1, 3, 10, 13)


@pytest.mark.parametrize(
    ('arguments', 'message'), [(dict(block_size=0), 'at least 1; got 0'), (dict(ratio=1.5), r'in \[0, 1\]; got 1.5')]
)
def test_impossible_masking_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BlockMasking(**arguments)


def test_the_teacher_runs_in_inference_mode_and_its_labels_can_be_trained_on():
    init_default_scope('mmseg')
    model, _ = build(METHODS['daformer'][0])
    assert model.teacher_logits(torch.rand(2, 3, 64, 64)).is_inference()
    clip = model.pseudo_labelled_clip(unlabelled(2))
    assert not any(value.is_inference() for value in (clip.frames, clip.labels, clip.weights, clip.confidence))
