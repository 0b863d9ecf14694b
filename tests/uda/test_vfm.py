"""The components of VFM-UDA and VFM-UDA++: teacher, labels, colours, masked tokens, distillation, average of losses."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from torch import nn

from tests.uda.small import (
    FLOW_GUIDED,
    HRDA,
    METHODS,
    SEGMENTOR,
    TEACHER,
    VFMUDA,
    VFMUDAPP,
    VIT,
    VIT_ADAPTER,
    build,
    clips,
    domains,
    unlabelled,
)
from udass.flow.warping import flip_flow
from udass.models.losses.valid_cross_entropy import ValidCrossEntropy
from udass.uda import EMA, BlockMasking, ConfidencePseudoLabels, PhotometricChange, TokenMasking
from udass.uda.clip import Clip
from udass.uda.photometric import PhotometricDraw, gaussian_blur, reference_blur_kernel


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# --------------------------------------------------------------------------- teacher


def test_after_the_step_the_teacher_keeps_a_half_then_two_thirds():
    student, teacher = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    nn.init.constant_(teacher.weight, 1.0)
    ema, kept = EMA(alpha=0.7, after_step=True), []
    # A student of 0 leaves what the teacher keeps.
    nn.init.constant_(student.weight, 0.0)
    for _ in range(4):
        before = teacher.weight.item()
        ema.update(teacher, student)
        kept.append(teacher.weight.item() / before)
        # A resumed training goes on with the same counter.
        ema, state = EMA(alpha=0.7, after_step=True), ema.state_dict()
        ema.load_state_dict(state)
    assert kept == pytest.approx([1 / 2, 2 / 3, 0.7, 0.7])
    ema = EMA(alpha=0.999, after_step=True)
    ema.keep_teacher()
    nn.init.constant_(teacher.weight, 1.0)
    ema.update(teacher, student)
    assert teacher.weight.item() == pytest.approx(0.999)


@pytest.mark.parametrize('after_step', [True, False])
def test_the_step_updates_the_teacher_before_or_after_the_student(after_step):
    components = dict(TEACHER, mixing=dict(type='ClassMix'), ema=dict(type='EMA', alpha=0.9, after_step=after_step))
    model, optimizer = build(components)
    start = copy.deepcopy(model.student.state_dict())
    model.train_step(domains(), optimizer)
    for name, parameter in model.teacher.named_parameters():
        now = model.student.state_dict()[name]
        torch.testing.assert_close(parameter, torch.lerp(start[name], now, 0.5) if after_step else start[name])


# --------------------------------------------------------------------------- labels


def test_labels_of_two_views_are_those_of_the_mean_probability():
    # Probabilities (0.8, 0.2) and (0.1, 0.9) in the first pixel, twice (0.5, 0.5) and (0.9, 0.1) in the second.
    logits = torch.tensor([[0.8, 0.2], [0.5, 0.5]]).log().T.reshape(1, 2, 1, 2)
    mirrored = torch.tensor([[0.1, 0.9], [0.9, 0.1]]).log().T.reshape(1, 2, 1, 2)
    valid = torch.tensor([1, 0]).reshape(1, 1, 1, 2)
    label = ConfidencePseudoLabels(threshold=0.6, two_views=True)(logits, valid, mirrored)
    assert label.labels.tolist() == [[[1, 0]]]
    assert label.confidence.flatten().tolist() == pytest.approx([0.55, 0.7])
    assert label.weights.tolist() == [[[0.5, 0.0]]]


def test_two_views_of_a_binary_head():
    logits, mirrored = (torch.full((1, 1, 1, 1), math.log(p / (1 - p))) for p in (0.9, 0.3))
    label = ConfidencePseudoLabels(two_views=True)(logits, None, mirrored)
    assert label.labels.item() == 1 and label.confidence.item() == pytest.approx(0.6)


@pytest.mark.parametrize('segmentor', [SEGMENTOR, HRDA, FLOW_GUIDED, VIT], ids=lambda one: one['type'])
def test_mirrored_images_get_the_mirrored_labels_of_two_views(segmentor):
    labels = dict(type='ConfidencePseudoLabels', two_views=True)
    model, _ = build(dict(TEACHER, pseudo_labels=labels, mixing=dict(type='ClassMix')), segmentor)
    data = clips(2, labelled=False) if segmentor is FLOW_GUIDED else unlabelled(2)
    mirrored = copy.deepcopy(data)
    mirrored['inputs'] = [frames.flip(-1) for frames in data['inputs']]
    for sample in mirrored['data_samples'] if segmentor is FLOW_GUIDED else ():
        sample.flow = flip_flow(sample.flow)
    first, second = model.pseudo_labelled_clip(data), model.pseudo_labelled_clip(mirrored)
    torch.testing.assert_close(first.confidence, second.confidence.flip(-1))
    assert (first.labels == second.labels.flip(-1)).float().mean() > 0.999


# --------------------------------------------------------------------------- colours


def test_images_decide_for_themselves():
    change, random = PhotometricChange(operations='torchvision', per_image=True, grey_probability=0.1), generator()
    draws = [change.draw(2, random) for _ in range(2000)]
    grey = [[draw.jitter[-1:] == [('saturation', 0.0)] for draw in pair] for pair in draws]
    # Both of two independent images: the square of the probability.
    for index, probability in enumerate((0.8, 0.5, 0.1)):
        chosen = [
            [
                (len(draw.jitter) > 1, draw.sigma is not None, is_grey)[index]
                for draw, is_grey in zip(*pair, strict=True)
            ]
            for pair in zip(draws, grey, strict=True)
        ]
        assert sum(map(sum, chosen)) / 4000 == pytest.approx(probability, abs=0.03)
        assert sum(map(all, chosen)) / 2000 == pytest.approx(probability**2, abs=0.03)
    orders = [[name for name, _ in draw.jitter[:4]] for pair in draws for draw in pair if len(draw.jitter) > 1]
    assert any(first != second for first, second in zip(orders[::2], orders[1::2], strict=False))


def test_grey_comes_after_the_jitter_and_before_the_blur():
    change = PhotometricChange(operations='torchvision', grey_probability=1.0, jitter_probability=0.0)
    frames = 255 * torch.rand(1, 1, 3, 20, 20, generator=generator())
    draw = change.draw(1, generator())[0]._replace(sigma=1.0)
    assert draw.jitter == [('saturation', 0.0)]
    red, green, blue = frames[0, 0]
    grey = (0.299 * red + 0.587 * green + 0.114 * blue).expand(1, 3, -1, -1)
    expected = gaussian_blur(grey, [reference_blur_kernel((20, 20))] * len(grey), [1.0] * len(grey))
    torch.testing.assert_close(change.apply(frames, [draw])[0], expected)
    with pytest.raises(ValueError, match="set operations='torchvision'; got 'kornia'"):
        PhotometricChange(grey_probability=0.1)


class Marks:
    """An augmentation that adds a number to all pixels."""

    per_image = True

    def __init__(self, number):
        self.number = number

    def draw(self, batch, generator, decision=None):
        return [PhotometricDraw([], None)] * batch

    def apply(self, frames, changes):
        return frames + self.number


@pytest.mark.parametrize('method', ['vfmudapp', 'quadmix_vfmudapp'])
def test_each_pass_has_its_own_colours(method):
    model, _ = build(*METHODS[method])
    model.source_augmentation, model.target_augmentation, model.photometric = Marks(1000), Marks(2000), Marks(5000)
    model.masking.ratio = 0.0
    zero = torch.zeros(2, 1, 3, 64, 64)
    labels = torch.arange(4).repeat_interleave(16)[:, None].expand(2, 1, 64, 64).contiguous()
    source = Clip(zero, labels, torch.ones(2, 1, 64, 64))
    # The template target is pasted where it is confident, in the right half.
    confidence = (torch.arange(64) >= 32).float().expand(2, 1, 64, 64)
    target = Clip(zero + 10000, labels, torch.ones(2, 1, 64, 64), confidence)
    for _ in range(2):
        passes = {item.name: item for item in model.passes(source, target, None)}
    colours = {name: set(item.clip.frames.unique().tolist()) for name, item in passes.items()}
    assert colours['source'] == {1000} and colours['masked'] == {15000}
    assert colours['distilled_source'] == {2000} and colours['distilled_target'] == {12000}
    assert passes['distilled_source'].distilled is source.frames
    assert passes['distilled_target'].distilled is target.frames
    if method == 'vfmudapp':
        assert colours['mix'] == {5000, 17000}
    else:
        # The template target has no augmentation of its own.
        assert colours['tst'] == {5000, 15000, 17000} and colours['tss'] == {5000, 15000}
    assert {name for name, item in passes.items() if not item.weighted} == {'source'}


# --------------------------------------------------------------------------- masked tokens


def test_each_token_is_masked_by_itself():
    mask = TokenMasking(ratio=0.7).draw(4, (40, 50), generator())
    assert mask.shape == (4, 40, 50) and mask.float().mean().item() == pytest.approx(0.7, abs=0.02)
    pairs = (mask[..., 1:] & mask[..., :-1]).float().mean().item()
    assert pairs == pytest.approx(0.49, abs=0.02)


def test_a_masked_image_is_not_seen_and_only_the_masked_pass_reaches_the_token():
    model, optimizer = build(dict(VFMUDA, masking=dict(type='TokenMasking', ratio=1.0)), VIT)
    seen, forward = {}, model.run_pass

    def run(item, *arguments):
        model.student.backbone.mask_token.grad = None
        result = forward(item, *arguments)
        gradient = model.student.backbone.mask_token.grad
        seen[item.name] = gradient is not None and bool(gradient.abs().sum() > 0)
        if item.name == 'masked':
            clip = item.clip
            outputs = [
                model.student(frames, item.data_samples(), mode='outputs', token_mask=item.token_mask).logits
                for frames in (clip.frames[:, 0], torch.zeros_like(clip.frames[:, 0]))
            ]
            assert torch.equal(*outputs)
        return result

    model.run_pass = run
    model.train_step(domains(), optimizer)
    assert seen == {'source': False, 'mix': False, 'masked': True}
    assert model.leaves_parameters_out


def test_both_frames_of_a_clip_have_the_same_masked_tokens():
    model, _ = build(*METHODS['quadmix_video_vit'])
    masks = []
    extract = model.student.extract_feat
    model.student.extract_feat = lambda images, mask: (masks.append(mask), extract(images, mask))[1]
    flow = torch.zeros(1, 1, 2, 64, 64)
    mask = TokenMasking().draw(1, (4, 4), generator())
    model.student.clip_logits(torch.rand(1, 2, 3, 64, 64), flow, token_mask=mask)
    assert len(masks) == 2 and masks[0] is mask and masks[1] is mask


@pytest.mark.parametrize(
    ('segmentor', 'message'),
    [
        (HRDA, 'which HRDAEncoderDecoder does not hand on'),
        (dict(SEGMENTOR, type='EncoderDecoder'), 'which EncoderDecoder does not hand on'),
        (SEGMENTOR, 'MixVisionTransformer does not have'),
        (VIT_ADAPTER, 'ViTAdapter does not have'),
        (dict(VIT, backbone=dict(VIT['backbone'], mask_token=False)), 'with mask_token=True'),
    ],
)
def test_networks_without_a_mask_token_are_refused(segmentor, message):
    with pytest.raises(ValueError, match=message):
        build(VFMUDA, segmentor)


def test_blocks_are_those_of_the_image_that_the_transformer_sees():
    masking = BlockMasking(block_size=64, ratio=0.7, multiple=224)
    clip = Clip(torch.ones(1, 1, 3, 1024, 1024), torch.zeros(1, 1, 1024, 1024).long(), torch.ones(1, 1, 1024, 1024))
    masked = masking.mask(clip, torch.zeros(3, 1, 1), generator())
    assert masked.size == (1120, 1120) and masked.labels.shape[-1] == masked.weights.shape[-1] == 1024
    blocks = masking.draw(1, (1120, 1120), generator())
    assert blocks.shape == (1, 1, 18, 18)
    torch.testing.assert_close(masked.frames[:, 0, :1], F.interpolate(blocks, (1120, 1120)))


# --------------------------------------------------------------------------- losses


def test_weighted_pixels_are_averaged_over_all_and_others_over_the_labelled():
    logits, labels = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 1, 255, 255]]])
    loss = ValidCrossEntropy(weighted_over_all=True)
    weights = torch.tensor([[[1.0, 0.5, 1.0, 1.0]]])
    assert loss(logits, labels).item() == pytest.approx(math.log(2))
    assert loss(logits, labels, weights).item() == pytest.approx(1.5 / 4 * math.log(2))
    assert ValidCrossEntropy()(logits, labels, weights).item() == pytest.approx(1.5 / 2 * math.log(2))


def test_the_student_learns_the_frozen_features_of_the_plain_image():
    model, optimizer = build(VFMUDAPP, VIT_ADAPTER)
    start, forward, expected = copy.deepcopy(model.distillation), model.run_pass, {}

    def run(item, *arguments):
        if item.distilled is not None:
            student = copy.deepcopy(model.student)
            images, plain = (
                model.data_preprocessor.normalize(value[:, 0]) for value in (item.clip.frames, item.distilled)
            )
            targets = start.frozen(F.interpolate(plain, (48, 48), mode='bilinear'))[-1]
            expected[item.name] = start(student.extract_feat(images)[-1], targets).item()
        return forward(item, *arguments)

    model.run_pass = run
    log = model.train_step(domains(), optimizer)
    assert set(expected) == {'distilled_source', 'distilled_target'}
    for name, value in expected.items():
        assert log[f'{name}.loss_distillation'].item() == pytest.approx(value, rel=1e-5)
    moved = [not torch.equal(*pair) for pair in zip(start.parameters(), model.distillation.parameters(), strict=True)]
    names = [name for name, _ in start.named_parameters()]
    assert [name.startswith('head') for name in names] == moved
    assert not model.distillation.frozen.training


def test_the_distillation_alone_is_a_method():
    model, optimizer = build(dict(distillation=VFMUDAPP['distillation']), VIT_ADAPTER)
    log = model.train_step(domains(), optimizer)
    assert {key.split('.')[0] for key in log if '.' in key} == {'source', 'distilled_source', 'distilled_target'}


def test_a_checkpoint_has_no_frozen_weights_but_knows_them():
    model, _ = build(VFMUDAPP, VIT_ADAPTER)
    state = model.state_dict()
    assert not any('frozen.' in key for key in state)
    same, _ = build(VFMUDAPP, VIT_ADAPTER)
    same.load_state_dict(state)
    same.distillation.is_loaded = False
    images = torch.rand(2, 3, 64, 64)
    assert torch.equal(same.distillation.targets(images), model.distillation.targets(images))
    same.distillation.frozen.net.norm.weight.data += 1
    same.distillation.is_loaded = False
    with pytest.raises(ValueError, match='has other weights than in the training that is resumed'):
        same.distillation.targets(images)
