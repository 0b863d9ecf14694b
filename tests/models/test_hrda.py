"""HRDA beyond the goldens: boxes as values, any image size, bounded batches, errors that say what is needed.

Networks are float64: what two ways of computing give is equal but for 1e-9, and rounding decides nothing.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import udass.uda  # noqa: F401  registers the training step
from tests.models.small import CLASSES, daformer_head, hrda, samples
from udass.models.heads.hrda_head import fuse_scales
from udass.models.segmentors.hrda import cell_sizes
from udass.models.windows import Box, pad_to_multiple

# Odd, not divisible by 8, smaller than the 64x64 crop in one direction, in both.
SIZES = [(64, 96), (73, 99), (59, 61)]


@pytest.fixture(scope='module')
def network():
    return hrda().double()


def batch(size, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (2, *size), generator=generator)
    labels[:, :3] = 255
    return images, labels, torch.rand(2, *size, generator=generator, dtype=torch.float64)


def test_fusion_by_hand():
    """Context cells 1 wide, detail cells half: attention counts inside the box only."""
    context = torch.tensor([[[[2.0, 4.0]]]])
    attention = torch.tensor([[[[0.5, 0.5]]]])
    detail = torch.full((1, 1, 2, 2), 10.0)
    fused = fuse_scales(context, attention, detail, context_box=Box(0, 1, 0, 1), detail_box=Box(0, 2, 0, 2), ratio=2)
    # (1 - a) * context = (1, 4) and a = (0.5, 0), both enlarged linearly: 1, 1.75, 3.25, 4 and .5, .375, .125, 0.
    row = [1 + 0.5 * 10, 1.75 + 0.375 * 10, 3.25, 4.0]
    torch.testing.assert_close(fused, torch.tensor([[[row, row]]]))
    detail = torch.full((1, 1, 2, 4), 10.0)
    everywhere = fuse_scales(context, attention, detail, Box(0, 1, 0, 2), Box(0, 2, 0, 4), ratio=2)
    row = [1 + 5, 1.25 + 5, 1.75 + 5, 2.0 + 5]
    torch.testing.assert_close(everywhere, torch.tensor([[[row, row]]]))


def test_one_attention_for_all_classes_or_for_all_cells_by_hand():
    """Two classes of one context cell, and a detail everywhere: (1 - a) * context + a * detail."""
    context, detail = torch.tensor([[[[2.0]], [[-4.0]]]]), torch.tensor([10.0, 6.0]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    boxes = dict(context_box=Box(0, 1, 0, 1), detail_box=Box(0, 2, 0, 2), ratio=2)
    expected = torch.tensor([0.75 * 2 + 0.25 * 10, 0.75 * -4 + 0.25 * 6]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    torch.testing.assert_close(fuse_scales(context, torch.full((1, 1, 1, 1), 0.25), detail, **boxes), expected)
    torch.testing.assert_close(fuse_scales(context, 0.25, detail, **boxes), expected)
    # A number, too, counts inside the box only: the row of `test_fusion_by_hand`.
    fused = fuse_scales(
        torch.tensor([[[[2.0, 4.0]]]]), 0.5, torch.full((1, 1, 2, 2), 10.0), Box(0, 1, 0, 1), Box(0, 2, 0, 2), ratio=2
    )
    torch.testing.assert_close(fused[0, 0, 0], torch.tensor([1 + 0.5 * 10, 1.75 + 0.375 * 10, 3.25, 4.0]))


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:threshold is not defined')
def test_networks_of_one_attention_map_and_of_a_fixed_one():
    """The published variants: a decoder of one channel, and none at all."""
    images, labels, weights = batch((96, 128))
    single = hrda_with(scale_attention=daformer_head(fusion='conv') | dict(num_classes=1))
    context = single._features(images, 0.5)
    assert single.decode_head.attention(context).shape == (2, 1, 12, 16)
    fixed = hrda_with(scale_attention=None, fixed_attention=0.5)
    assert not [name for name, _ in fixed.named_parameters() if 'attention' in name]
    assert fixed.decode_head.attention(context) == 0.5
    for network in (single, fixed):
        assert network.eval().encode_decode(images, []).shape == (2, CLASSES, 96, 128)
        losses = network(images, samples(labels, weights), mode='loss', crop_box=(0, 64, 0, 64))
        sum(losses.values()).backward()
        assert all(parameter.grad is not None for parameter in network.decode_head.parameters())


@pytest.mark.slow
@torch.no_grad()
def test_details_side_by_side():
    """A fixed attention of 1 shows the detail alone: four windows of 64 in 128, each in its own place."""
    network = hrda_with(dict(overlapping_slide=False), scale_attention=None, fixed_attention=1.0).eval()
    images = batch((128, 128))[0]
    quarters = [
        [network.decode_head(network._features(images[..., y : y + 64, x : x + 64], 1.0)) for x in (0, 64)]
        for y in (0, 64)
    ]
    detail = torch.cat([torch.cat(row, dim=3) for row in quarters], dim=2)
    torch.testing.assert_close(network.encode_decode(images, []), network._enlarge(detail, (128, 128)))
    network.overlapping_slide = True
    assert (network.encode_decode(images, []) - network._enlarge(detail, (128, 128))).abs().max() > 1e-3


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(fixed_attention=0.5), 'either by a learned scale_attention or by a fixed_attention'),
        (dict(scale_attention=None), 'either by a learned scale_attention or by a fixed_attention'),
        (dict(scale_attention=None, fixed_attention=1.5), r'in \[0, 1\]; got 1.5'),
        (dict(scale_attention=None, fixed_attention=-0.5), r'in \[0, 1\]; got -0.5'),
    ],
)
def test_an_attention_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        hrda_with(**changes)


def hrda_with(segmentor=None, **head_changes):
    """HRDA with other options of the segmentor and of its head."""
    head = dict(type='HRDAHead', head=daformer_head(), scale_attention=daformer_head(fusion='conv'))
    return hrda(decode_head={**head, **head_changes}, **(segmentor or {})).double()


def encoder_sizes(network, run):
    """Sizes of the batches that go through the backbone while ``run`` runs."""
    sizes = []
    hook = network.backbone.register_forward_pre_hook(lambda module, inputs: sizes.append(tuple(inputs[0].shape)))
    run()
    hook.remove()
    return sizes


def test_one_forward_of_the_encoder_gives_the_losses_and_gradients_of_two(network, monkeypatch):
    """Context of 128x128 at half size and detail of 64x64 are one batch of the encoder."""
    images, labels, weights = batch((128, 128))
    network.train()

    def step():
        network.zero_grad()
        losses = network(images, samples(labels, weights), mode='loss', crop_box=(0, 64, 32, 96))
        sum(losses.values()).backward()
        results.append((losses, [parameter.grad.clone() for parameter in network.parameters()]))

    results = []
    assert encoder_sizes(network, step) == [(4, 3, 64, 64)]
    monkeypatch.setattr('udass.models.segmentors.hrda.uses_batch_statistics', lambda module: True)
    assert encoder_sizes(network, step) == [(2, 3, 64, 64), (2, 3, 64, 64)]
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_an_encoder_that_would_mix_them_sees_context_and_detail_one_by_one(network):
    images, labels, _ = batch((128, 128))

    def step():
        network(images, samples(labels), mode='loss', crop_box=(0, 64, 32, 96))

    apart = [(2, 3, 64, 64), (2, 3, 64, 64)]
    network.backbone.norm = torch.nn.BatchNorm2d(1)
    assert encoder_sizes(network.train(), step) == apart
    assert encoder_sizes(network.eval(), step) == [(4, 3, 64, 64)]
    del network.backbone.norm
    network.neck = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    network.neck.forward = lambda features: features
    assert encoder_sizes(network.train(), step) == apart
    del network.neck
    # A detail of another size than the context at half size.
    images, labels, _ = batch((96, 128))
    assert encoder_sizes(network, step) == [(2, 3, 48, 64), (2, 3, 64, 64)]


@pytest.mark.parametrize('size', SIZES)
@torch.no_grad()
def test_logits_of_any_size(network, size):
    """The network sees whole cells: logits are those of the padded image, cut."""
    images = batch(size)[0]
    logits = network.eval().encode_decode(images, [])
    assert logits.shape == (2, CLASSES, *size)
    padded = network.encode_decode(pad_to_multiple(images, 8), [])
    torch.testing.assert_close(logits, padded[..., : size[0], : size[1]])
    torch.testing.assert_close(network(images), logits)


@pytest.mark.parametrize('size', SIZES)
def test_losses_of_any_size(network, size):
    """Padding counts neither in the losses nor in the number of pixels that they are averaged over."""
    images, labels, weights = batch(size)
    network.train()
    # The last box: it reaches over the image's end where that is no multiple of 8.
    padded = pad_to_multiple(images, 8)
    height, width = padded.shape[2:]
    box = Box(max(height - 64, 0), height, max(width - 64, 0), width)
    losses = network(images, samples(labels, weights), mode='loss', crop_box=box)
    sum(losses.values()).backward()
    assert network.backbone.layers[0][0].projection.weight.grad.abs().sum() > 0
    network.zero_grad()
    ignored = torch.full((2, height, width), 255)
    ignored[:, : size[0], : size[1]] = labels
    zeros = torch.zeros(2, height, width, dtype=torch.float64)
    zeros[:, : size[0], : size[1]] = weights
    whole = network(padded, samples(ignored, zeros), mode='loss', crop_box=box)
    inside = (min(box.y2, size[0]) - box.y1) * (min(box.x2, size[1]) - box.x1)
    torch.testing.assert_close(losses['decode.loss_ce'] * size[0] * size[1], whole['decode.loss_ce'] * height * width)
    torch.testing.assert_close(
        losses['decode.hr.loss_ce'] * inside, whole['decode.hr.loss_ce'] * box.size[0] * box.size[1]
    )


def test_shares_of_the_losses(network):
    """With uniform logits every pixel's loss is log C: 0.9 of it for the fusion, 0.1 for the detail."""
    fused, labels = torch.zeros(1, CLASSES, 8, 8), torch.zeros(1, 8, 8, dtype=torch.long)
    losses = network.decode_head.pixel_loss(fused, fused[..., :4, :4], Box(0, 4, 4, 8), labels, None)
    log_c = torch.tensor(float(CLASSES)).log()
    torch.testing.assert_close(losses, {'loss_ce': 0.9 * log_c, 'hr.loss_ce': 0.1 * log_c})


def test_detail_meets_the_labels_and_weights_of_its_box(network):
    labels, weights = torch.full((1, 8, 8), 255), torch.zeros(1, 8, 8)
    box = Box(2, 6, 4, 8)
    box.cut(labels).fill_(0)
    box.cut(weights).fill_(0.5)
    losses = network.decode_head.pixel_loss(
        torch.zeros(1, CLASSES, 8, 8), torch.zeros(1, CLASSES, 4, 4), box, labels, weights
    )
    log_c = torch.tensor(float(CLASSES)).log()
    torch.testing.assert_close(losses['hr.loss_ce'], 0.1 * 0.5 * log_c)
    torch.testing.assert_close(losses['loss_ce'], 0.9 * 0.5 * log_c * 16 / 64)


def test_boxes_are_drawn_on_the_grid_from_the_given_generator(network):
    def boxes(size):
        generator = torch.Generator().manual_seed(3)
        return [network.draw_crop_box(size, generator) for _ in range(60)]

    drawn = boxes((96, 131))
    assert drawn == boxes((96, 131))
    assert {box.size for box in drawn} == {(64, 64)}
    # 131 is padded to 136: every multiple of 8 up to 136 - 64 occurs, the last one too.
    assert {box.y1 for box in drawn} == {0, 8, 16, 24, 32}
    assert {box.x1 for box in drawn} == set(range(0, 73, 8))
    assert set(boxes((33, 64))) == {Box(0, 40, 0, 64)}


@pytest.mark.slow
def test_the_step_draws_its_own_box_or_takes_the_given_one(network):
    images, labels, _ = batch((96, 128))
    network.eval()

    def loss(**given):
        return network(images, samples(labels), mode='loss', **given)['decode.hr.loss_ce'].item()

    generator = torch.Generator().manual_seed(5)
    box = network.draw_crop_box((96, 128), torch.Generator().manual_seed(5))
    assert loss(generator=generator) == loss(crop_box=box)
    torch.manual_seed(7)
    first = loss()
    torch.manual_seed(7)
    assert loss() == first
    assert loss(crop_box=(0, 64, 0, 64)) != loss(crop_box=(32, 96, 64, 128))


@pytest.mark.parametrize('box', [(4, 68, 0, 62), (32, 104, 0, 64), (-8, 56, 0, 64), (64, 64, 0, 64)])
def test_a_box_off_the_grid_or_the_image_is_refused(network, box):
    images, labels, _ = batch((96, 128))
    with pytest.raises(ValueError, match=r'inside the \(padded\) image, 96 x 128 pixels, with edges at multiples of 4'):
        network.loss(images, samples(labels), crop_box=box)


def test_labels_of_another_size_are_refused(network):
    images, labels, _ = batch((96, 128))
    with pytest.raises(ValueError, match=r'\(96, 128\) pixels have labels of \(48, 128\)'):
        network.loss(images, samples(labels[:, :48]))


@pytest.mark.slow
@torch.no_grad()
def test_windows_in_batches_equal_one_at_a_time():
    """Both slides, that of the image and that of the detail inside each of its windows."""
    network, images = hrda().double().eval(), batch((97, 130))[0][:1]
    meta = dict(ori_shape=(97, 130), img_shape=(97, 130))
    sizes = []
    network.backbone.register_forward_pre_hook(lambda module, inputs: sizes.append(len(inputs[0])))
    results = []
    for max_batch in (1, 3, None):
        network.test_cfg = dict(mode='slide', crop_size=(96, 96), stride=(48, 80), max_batch=max_batch)
        sizes.clear()
        results.append(network.slide_inference(images, [meta]))
        assert max(sizes) <= (max_batch or 1000)
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_detail_windows_share_batch_statistics():
    """A teacher on batch statistics normalises with all windows, as in the reference: a bound must not split them."""
    network, images = hrda().double().eval(), batch((96, 128))[0]
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.momentum = 0.0
    free = network.encode_decode(images, [])
    network.test_cfg = dict(mode='whole', max_batch=1)
    assert torch.equal(network.encode_decode(images, []), free)


@torch.no_grad()
def test_prediction_in_the_image_s_own_size(network):
    sample = samples(torch.zeros(1, 50, 70, dtype=torch.long))[0]
    sample.set_metainfo(dict(ori_shape=(50, 70), img_shape=(97, 131)))
    (prediction,) = network.eval()(batch((97, 131))[0][:1], [sample], mode='predict')
    assert prediction.pred_sem_seg.data.shape == (1, 50, 70)


def test_features_at_a_scale_of_their_own():
    network, (images, labels, _) = hrda(feature_scale=1.0).double().eval(), batch((97, 131))
    features = network.extract_feat(images)
    assert features[0].shape[2:] == (26, 34) and hrda().double().extract_feat(images)[0].shape[2:] == (13, 17)
    of_step = network(images, samples(labels), mode='outputs', crop_box=(0, 64, 0, 64))[1]
    torch.testing.assert_close(of_step[3], features[3])


@torch.no_grad()
def test_other_scales():
    """Context at a quarter, detail at half: cells of 16 and 8 pixels, boxes still in pixels of the image."""
    network = hrda(scales=(0.25, 0.5), crop_size=(128, 128)).double().eval()
    images, labels, _ = batch((150, 200))
    assert network.encode_decode(images, []).shape == (2, CLASSES, 150, 200)
    assert network(images, samples(labels), mode='loss', crop_box=(16, 144, 64, 192)).keys() == {
        'decode.loss_ce',
        'decode.hr.loss_ce',
    }


def test_a_step_reads_nothing_from_the_device(network):
    class NoReading(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            assert '_local_scalar_dense' not in str(function), function
            return function(*args, **kwargs or {})

    images, labels, weights = batch((97, 131))
    data = samples(labels, weights)
    with NoReading():
        sum(network.train().loss(images, data).values()).backward()
        network.encode_decode(images, [])


def test_settings_that_do_not_fit():
    assert cell_sizes((0.5, 1.0), 8) == (16, 8)
    with pytest.raises(ValueError, match='whole pixels.*scales .*output stride 4'):
        cell_sizes((0.3, 1.0), 4)
    with pytest.raises(ValueError, match='whole multiple'):
        cell_sizes((1.0, 0.5), 4)
    with pytest.raises(ValueError, match=r'crop_size must be multiples of 8 .*got \(60, 64\)'):
        hrda(crop_size=(60, 64))
    attention = {**daformer_head(fusion='conv'), 'num_classes': 5}
    with pytest.raises(ValueError, match='that of the head, 4, or 1 for one map that all classes share; got 5'):
        hrda_with(scale_attention=attention)
    encoding = dict(type='EncHead', in_channels=[32], in_index=[0], channels=8, num_codes=2, num_classes=CLASSES)
    with pytest.raises(TypeError, match='EncHead computes its loss by itself, which HRDAHead cannot do for two scales'):
        hrda_with(head=encoding)
    with pytest.raises(ValueError, match=r'detail_loss_weight of HRDAHead is a share, in \[0, 1\]; got 1.5'):
        hrda_with(detail_loss_weight=1.5)


@pytest.mark.parametrize('mode', ['loss', 'tensor'])
def test_a_wrong_output_stride_is_explained(mode):
    network = hrda(output_stride=8).double().eval()
    images, labels, _ = batch((96, 128))
    with pytest.raises(ValueError, match='set output_stride to what the network has'):
        network(images, samples(labels), mode=mode)


def test_an_image_too_small_for_the_backbone_is_explained(network):
    with pytest.raises(ValueError, match=r'at least 29 pixels on each side; got \(20, 32\).*HRDA'):
        network.encode_decode(torch.zeros(1, 3, 40, 64), [])
