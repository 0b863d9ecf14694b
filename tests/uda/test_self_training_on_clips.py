"""The self-training of image methods on clips of two frames: labels of frame t from both, one mask for both."""

import pytest
import torch
from mmengine.registry import init_default_scope

from tests.uda.small import DAFORMER, HRDA, build, clips
from tests.uda.test_no_waiting import WatchReads
from udass.uda.clip import Clip
from udass.uda.mixing import classmix

FLOW_GUIDED_HRDA = dict(HRDA, type='FlowGuidedHRDAEncoderDecoder')


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@pytest.fixture
def model():
    return build(dict(DAFORMER, mixing=dict(type='ClassMix', same_mask=True)), FLOW_GUIDED_HRDA)


def two_pixels(labels, colour, flow):
    """A clip of two frames of 1x2 pixels."""
    labels = torch.tensor(labels).view(1, 2, 1, 2)
    return Clip(
        frames=torch.full((1, 2, 3, 1, 2), colour),
        labels=labels,
        weights=torch.ones(1, 2, 1, 2),
        flow=torch.full((1, 1, 2, 1, 2), flow),
    )


@pytest.mark.parametrize('same_mask, before, motion', [(True, [9.0, 5.0], [2.0, 7.0]), (False, [5.0, 9.0], [7.0, 2.0])])
def test_one_mask_for_both_frames_or_one_each(same_mask, before, motion):
    """Class 1 is left at t and right at t-1. Of the two masks, the flow takes that of t-1 (see `paste`)."""
    source, target = two_pixels([[1, 0], [0, 1]], 9.0, 2.0), two_pixels([[3, 3], [255, 255]], 5.0, 7.0)
    mixed = classmix(source, target, torch.tensor([[False, True, False, False]]), same_mask)
    assert mixed.frames[0, 0, 0].tolist() == [[9.0, 5.0]] and mixed.labels[0, 0].tolist() == [[1, 3]]
    assert mixed.frames[0, 1, 0].tolist() == [before]
    assert mixed.flow[0, 0, 0].tolist() == [motion]


def test_the_teacher_labels_frame_t_from_both_frames(model):
    adapter, _ = model
    data = clips(2, labelled=False, seed=3)
    adapter.teacher.fusion.weight.data.normal_(std=20, generator=torch.Generator().manual_seed(1))
    target = adapter.pseudo_labelled_clip(data)
    frames = adapter.data_preprocessor.normalize(target.frames)
    with torch.no_grad():
        logits = adapter.teacher.encode_decode(frames, [], target.flow)
    assert torch.equal(target.labels[:, 0], logits.argmax(dim=1))
    torch.testing.assert_close(target.confidence[:, 0], logits.softmax(dim=1).amax(dim=1))
    assert target.frames.shape == (2, 2, 3, 64, 64) and target.flow.shape == (2, 1, 2, 64, 64)
    share = (target.confidence[:, 0] >= 0.3).float().mean()
    assert 0 < share < 1 and (target.weights[:, 0] == share).all()
    assert (target.labels[:, 1] == 255).all() and not target.weights[:, 1].any()


def test_the_step_trains_the_fusion_too(model):
    adapter, wrapper = model
    before = adapter.student.fusion.weight.detach().clone()
    log = adapter.train_step(dict(source=clips(2), target=clips(2, labelled=False, seed=100)), wrapper)
    assert {name.split('.')[0] for name in log if '.' in name} == {'source', 'mix'}
    assert {
        'source.decode.loss_ce',
        'source.decode.hr.loss_ce',
        'source.loss_feature_distance',
        'mix.decode.hr.loss_ce',
    } <= log.keys()
    assert all(torch.isfinite(value) for value in log.values())
    assert not torch.equal(adapter.student.fusion.weight, before)


def test_no_scalar_is_read(model):
    adapter, wrapper = model
    data = dict(source=clips(2), target=clips(2, labelled=False, seed=100))
    with WatchReads('cpu') as watch:
        adapter.train_step(data, wrapper)
    assert watch.reads == []


def test_clips_without_flow_are_refused(model):
    data = clips(2, labelled=False)
    for sample in data['data_samples']:
        del sample.flow
    with pytest.raises(ValueError, match='gave clips of 2 frames without flow: .* put LoadFlow into it'):
        model[0].pseudo_labelled_clip(data)
