import pytest
import torch

from udass.uda.clip import Clip
from udass.uda.mixing.classes import choose_classes, class_mask
from udass.uda.mixing.classmix import ClassMix
from udass.uda.mixing.long_tail import LongTail, paste_long_tail
from udass.uda.mixing.quadmix import Directions, QuadMix, quadmix


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def random_clip(batch, size, value, classes=(0, 1, 2, 3), confidence=None, seed=0):
    """Labels drawn from ``classes`` in 4x4 blocks; every pixel of the image and weight is ``value``."""
    blocks = torch.tensor(classes)[
        torch.randint(len(classes), (batch, 1, size[0] // 4, size[1] // 4), generator=generator(seed))
    ]
    labels = blocks.repeat_interleave(4, 2).repeat_interleave(4, 3)
    confidences = None if confidence is None else torch.full(labels.shape, confidence)
    return Clip(
        frames=torch.full((batch, 1, 3, *size), float(value)),
        labels=labels,
        weights=torch.full(labels.shape, value / 10),
        confidence=confidences,
    )


def test_chosen_classes_are_present_and_as_many_as_wanted():
    present = torch.rand(200, 19, generator=generator(1)) > 0.6
    number = torch.arange(200) % 5
    chosen = choose_classes(present, number, generator(2))
    assert not (chosen & ~present).any()
    assert torch.equal(chosen.sum(1), torch.minimum(number, present.sum(1)))


def test_every_present_class_is_drawn_equally_often():
    present = torch.zeros(6000, 19, dtype=torch.bool)
    present[:, [2, 5, 11]] = True
    share = choose_classes(present, torch.ones(6000, dtype=torch.long), generator(3)).float().mean(0)
    assert torch.allclose(share[[2, 5, 11]], torch.tensor(1 / 3), atol=0.03)


def test_class_mask_never_holds_ignored_pixels():
    labels = torch.tensor([[[0, 1, 255]], [[1, 1, 0]]])
    chosen = torch.tensor([[True, False], [False, True]])
    assert class_mask(labels, chosen).tolist() == [[[True, False, False]], [[True, True, False]]]


@pytest.mark.parametrize('batch', [1, 2, 3])
def test_classmix_pastes_half_of_the_classes_with_labels_and_weights(batch):
    source = random_clip(batch, (16, 24), 1, seed=batch)
    target = random_clip(batch, (16, 24), 7, classes=(10, 11), seed=batch + 9)
    (item,) = ClassMix()(source, target, 19, 0, generator())
    pasted = item.clip.frames[:, :, 0] == 1
    for i in range(batch):
        pasted_classes = set(source.labels[i][pasted[i]].tolist())
        present = set(source.labels[i].unique().tolist())
        assert len(pasted_classes) == (len(present) + 1) // 2
        # Whole classes: what is left uncovered holds none of the pasted ones.
        assert not pasted_classes & set(source.labels[i][~pasted[i]].tolist())
    assert torch.equal(item.clip.labels, torch.where(pasted, source.labels, target.labels))
    assert torch.equal(item.clip.weights, torch.where(pasted, source.weights, target.weights))


def run_quadmix(component, source, target, times=2, num_classes=19, long_tail=None):
    """The passes of the last of several iterations on the same clips."""
    random = generator(5)
    for iteration in range(times):
        passes = component(source, target, num_classes, iteration, random, long_tail)
    return passes


def test_first_iteration_falls_back_to_classmix_then_two_passes_of_half_weight():
    source, target = random_clip(2, (16, 24), 1), random_clip(2, (16, 24), 7, classes=(4, 5), confidence=1.0)
    component = QuadMix()
    assert [item.name for item in run_quadmix(component, source, target, times=1)] == ['mix']
    passes = run_quadmix(component, source, target, times=1)
    assert [(item.name, item.scale) for item in passes] == [('tss', 0.5), ('tst', 0.5)]


def test_start_iteration_and_another_template_shape_fall_back():
    source, target = random_clip(2, (16, 24), 1), random_clip(2, (16, 24), 7, confidence=1.0)
    late = QuadMix(start_iter=2)
    names = [[item.name for item in late(source, target, 19, i, generator())] for i in range(4)]
    assert names == [['mix'], ['mix'], ['tss', 'tst'], ['tss', 'tst']]
    small_source, small_target = random_clip(1, (16, 24), 1), random_clip(1, (16, 24), 7, confidence=1.0)
    assert [item.name for item in late(small_source, small_target, 19, 4, generator())] == ['mix']


@pytest.mark.parametrize('batch', [1, 2, 3])
def test_every_mixed_pixel_comes_from_exactly_one_image_with_its_label_and_weight(batch):
    size = (16, 24)
    old = dict(
        source=random_clip(batch, size, 2, seed=1), target=random_clip(batch, size, 8, (4, 5, 10, 11), 1.0, seed=2)
    )
    new = dict(source=random_clip(batch, size, 1, seed=3), target=random_clip(batch, size, 7, (6, 9), 1.0, seed=4))
    component = QuadMix()
    component(old['source'], old['target'], 19, 0, generator())
    tss, tst = component(new['source'], new['target'], 19, 1, generator(7))
    origins = {1.0: new['source'], 2.0: old['source'], 7.0: new['target'], 8.0: old['target']}
    for item, allowed in ((tss, {1.0, 2.0, 8.0}), (tst, {2.0, 7.0, 8.0})):
        values = item.clip.frames
        assert torch.equal(values, values[:, :, :1].expand_as(values))
        assert set(values.unique().tolist()) == allowed
        for value, origin in origins.items():
            here = values[:, :, 0] == value
            assert torch.equal(item.clip.labels[here], origin.labels[here])
            assert torch.equal(item.clip.weights[here], origin.weights[here])


def test_target_classes_are_none_of_the_source_classes():
    template_source = random_clip(50, (32, 32), 1, classes=tuple(range(8)))
    template_target = random_clip(50, (32, 32), 1, classes=tuple(range(8)), seed=1)
    source, target = QuadMix().draw_classes(template_source, template_target, 19, generator())
    assert not (source & target).any()
    assert source.sum(1).max() == 2 and source.sum(1).min() >= 1
    assert target.sum(1).max() == 2


def test_only_confident_template_pixels_are_pasted():
    source = random_clip(1, (16, 24), 1)
    target = random_clip(1, (16, 24), 7, classes=(10, 11), confidence=0.89)
    tss, tst = run_quadmix(QuadMix(confidence_threshold=0.9), source, target)
    assert set(tss.clip.frames.unique().tolist()) == {1.0}
    assert 10 not in tss.clip.labels and 11 not in tss.clip.labels
    assert set(tst.clip.frames.unique().tolist()) == {1.0, 7.0}


@pytest.mark.parametrize(
    ('off', 'tss', 'tst'),
    [
        ('intra_source', {1.0, 8.0}, {2.0, 7.0, 8.0}),
        ('source_to_target', {1.0, 2.0, 8.0}, {7.0, 8.0}),
        ('target_to_source', {1.0, 2.0}, {2.0, 7.0, 8.0}),
        ('intra_target', {1.0, 2.0, 8.0}, {2.0, 7.0}),
    ],
)
def test_each_direction_can_be_switched_off(off, tss, tst):
    size = (8, 16)
    clips = [
        random_clip(1, size, value, classes, 1.0, seed=value)
        for value, classes in ((1, (0, 1)), (7, (6, 9)), (2, (0, 1)), (8, (4, 5)))
    ]
    columns = torch.arange(16).expand(1, 1, 8, 16)
    mixed = quadmix(*clips, source_mask=columns < 5, target_mask=columns > 11, directions=Directions(**{off: False}))
    assert set(mixed.tss.frames.unique().tolist()) == tss
    assert set(mixed.tst.frames.unique().tolist()) == tst


@pytest.mark.parametrize(
    ('classes', 'pasted'), [((0, 1), 'half'), ((0, 255), 'class 0'), ((1,), 'all'), ((255,), 'nothing')]
)
def test_two_class_data_and_empty_choices(classes, pasted):
    """Two classes at most; nothing is confident, so only the template source (2) is ever pasted over 1 and 7."""
    old, source = random_clip(4, (16, 24), 2, classes=classes), random_clip(4, (16, 24), 1, classes=(0, 1), seed=3)
    target = random_clip(4, (16, 24), 7, classes=(0, 1), confidence=0.1, seed=4)
    component = QuadMix()
    component(old, target, 2, 0, generator())
    tss, tst = component(source, target, 2, 1, generator())
    expected = {'half': [1, 2], 'class 0': [1, 2], 'all': [2], 'nothing': [1]}[pasted]
    assert tss.clip.frames.unique().tolist() == expected
    assert tst.clip.frames.unique().tolist() == sorted({1: 7, 2: 2}[value] for value in expected)
    if pasted == 'class 0':
        assert torch.equal(tss.clip.frames[:, :, 0] == 2, old.labels == 0)


@pytest.mark.parametrize('component', [ClassMix(), QuadMix()])
@pytest.mark.parametrize(
    ('source_shape', 'target_shape'),
    [((1, (16, 24)), (3, (16, 24))), ((3, (24, 16)), (2, (16, 32))), ((2, (8, 8)), (2, (16, 24)))],
)
def test_source_and_target_may_differ_in_batch_and_size(component, source_shape, target_shape):
    source = random_clip(*source_shape, 1)
    target = random_clip(*target_shape, 7, classes=(10, 11), confidence=0.1)
    height, width = (min(a, b) for a, b in zip(source_shape[1], target_shape[1], strict=True))
    for item in run_quadmix(component, source, target):
        clip = item.clip
        assert len(clip) == target_shape[0] and clip.size == target_shape[1]
        from_source = clip.frames[:, :, 0] == 1
        assert from_source.any() and not from_source[..., height:, :].any() and not from_source[..., width:].any()
        repeated = torch.arange(len(clip)) % len(source)
        inside = from_source[..., :height, :width]
        assert torch.equal(
            clip.labels[..., :height, :width][inside], source.labels[repeated][..., :height, :width][inside]
        )


def test_templates_survive_in_the_state_dict():
    source, target = random_clip(2, (16, 24), 1), random_clip(2, (16, 24), 7, (4, 5), 1.0)
    first, second = QuadMix(), QuadMix()
    first(source, target, 19, 41, generator())
    second.load_state_dict(first.state_dict())
    assert second.bank.iteration == 41
    other_source, other_target = random_clip(2, (16, 24), 3, seed=8), random_clip(2, (16, 24), 4, (4, 5), 1.0, seed=9)
    for a, b in zip(
        first(other_source, other_target, 19, 42, generator()),
        second(other_source, other_target, 19, 42, generator()),
        strict=True,
    ):
        assert a.name == b.name and torch.equal(a.clip.frames, b.clip.frames)


def test_long_tail_paste_brings_label_and_weight_one():
    mixed = random_clip(2, (16, 24), 7, classes=(10, 11))
    rare = random_clip(2, (16, 24), 1, classes=(3, 4))
    rare = Clip(rare.frames, rare.labels, torch.ones_like(rare.weights))
    other = random_clip(2, (16, 24), 2, classes=(3, 4), seed=5)
    tail = LongTail(clips=[[other, rare]], classes=[[torch.tensor([3, 3]), torch.tensor([3, 4])]])
    result, where = paste_long_tail(mixed, tail, mix=1)
    pasted = rare.labels == torch.tensor([3, 4])[:, None, None, None]
    assert torch.equal(result.frames[:, :, 0] == 1, pasted) and torch.equal(where, pasted)
    assert (result.weights[pasted] == 1).all()
    assert torch.equal(result.labels[pasted], rare.labels[pasted])
    assert torch.equal(result.labels[~pasted], mixed.labels[~pasted])


def test_quadmix_gives_each_mix_its_own_long_tail_images():
    source, target = random_clip(1, (16, 24), 1), random_clip(1, (16, 24), 7, (10, 11), 1.0)
    first, second = random_clip(1, (16, 24), 3, classes=(6, 7)), random_clip(1, (16, 24), 4, classes=(6, 7), seed=2)
    tail = LongTail(clips=[[first, second]], classes=[[torch.tensor([6]), torch.tensor([6])]])
    tss, tst = run_quadmix(QuadMix(), source, target, long_tail=tail)
    assert 3.0 in tss.clip.frames and 4.0 not in tss.clip.frames
    assert 4.0 in tst.clip.frames and 3.0 not in tst.clip.frames
    # Both mixed images show the same where they say so, and neither's own objects are among that.
    shared = tss.pasted[:, 0]
    assert shared.any() and torch.equal(tss.pasted, tst.pasted)
    assert torch.equal(tss.clip.frames[:, 0, 0][shared], tst.clip.frames[:, 0, 0][shared])
    assert not (tss.clip.frames[:, 0, 0] == 3)[shared].any() and not (tst.clip.frames[:, 0, 0] == 4)[shared].any()


@pytest.mark.parametrize(
    ('off', 'values'),
    [
        ({}, {1.0, 7.0}),
        (dict(intra_source=False), {7.0}),
        (dict(source_to_target=False), {7.0}),
        (dict(intra_target=False), {1.0}),
        (dict(target_to_source=False), {1.0}),
        (dict(intra_source=False, target_to_source=False), set()),
    ],
)
def test_only_what_both_mixed_images_get_from_the_templates_is_shared(off, values):
    old = random_clip(1, (16, 24), 1), random_clip(1, (16, 24), 7, (10, 11), 1.0)
    old[1].confidence[..., 12:] = 0
    new = random_clip(1, (16, 24), 2, seed=3), random_clip(1, (16, 24), 8, (10, 11), 1.0, seed=4)
    component = QuadMix(**off)
    component(*old, 19, 0, generator())
    tss, tst = component(*new, 19, 1, generator())
    shared = tss.pasted[:, 0]
    assert torch.equal(tss.clip.frames[:, 0, 0][shared], tst.clip.frames[:, 0, 0][shared])
    assert set(tss.clip.frames[:, 0, 0][shared].tolist()) == values


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(confidence_threshold=90), r'probability in \[0, 1\]; got 90'),
        (dict(target_classes=0), 'switch it off'),
        (dict(start_iter=-1), 'start_iter must be 0 or more'),
        (dict(scale=-1), 'scale is a factor of the loss'),
    ],
)
def test_impossible_choices_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        QuadMix(**arguments)
