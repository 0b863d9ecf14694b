import torch

from udass.uda.clip import Clip, paste


def make_clip(batch=2, frames=1, size=(4, 6), start=0.0, flow=False):
    """A clip whose every pixel, label and weight is different."""
    shape = (batch, frames, *size)
    count = torch.arange(batch * frames * size[0] * size[1], dtype=torch.float32).reshape(shape) + start
    motion = None
    if flow:
        motion = count[:, 1:, None].repeat(1, 1, 2, 1, 1)
    return Clip(
        frames=count[:, :, None].repeat(1, 1, 3, 1, 1),
        labels=count.long() % 255,
        weights=count / 1e4,
        confidence=None,
        flow=motion,
    )


def test_every_pasted_pixel_comes_from_one_clip_with_its_label_and_weight():
    over, under = make_clip(start=500.0), make_clip()
    mask = torch.rand(2, 1, 4, 6, generator=torch.Generator().manual_seed(0)) > 0.5
    mixed = paste(mask, over, under)
    for name in ('frames', 'labels', 'weights'):
        wide = mask[:, :, None].expand_as(over.frames) if name == 'frames' else mask
        assert torch.equal(getattr(mixed, name)[wide], getattr(over, name)[wide])
        assert torch.equal(getattr(mixed, name)[~wide], getattr(under, name)[~wide])


def test_flow_follows_the_mask_of_the_other_frame():
    over, under = make_clip(frames=2, start=500.0, flow=True), make_clip(frames=2, flow=True)
    mask = torch.zeros(2, 2, 4, 6, dtype=torch.bool)
    mask[:, 1, :2] = True
    mixed = paste(mask, over, under)
    assert torch.equal(mixed.flow[:, :, :, :2], over.flow[:, :, :, :2])
    assert torch.equal(mixed.flow[:, :, :, 2:], under.flow[:, :, :, 2:])
    assert torch.equal(mixed.frames[:, 0], under.frames[:, 0])


def test_match_shape_repeats_samples_in_turn():
    clip = make_clip(batch=2).match_shape(3, (4, 6))
    assert len(clip) == 3
    assert torch.equal(clip.frames[2], clip.frames[0])


def test_match_shape_cuts_and_pads_with_ignored_pixels():
    clip = make_clip(batch=1, size=(4, 6))
    fitted = clip.match_shape(1, (6, 3))
    assert fitted.size == (6, 3)
    assert torch.equal(fitted.frames[..., :4, :], clip.frames[..., :3])
    assert torch.equal(fitted.labels[..., :4, :], clip.labels[..., :3])
    assert (fitted.labels[..., 4:, :] == 255).all()
    assert clip.match_shape(1, (4, 6)) is clip
