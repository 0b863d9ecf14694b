"""Photometric change of mixed images: colour jitter and Gaussian blur, with torchvision's definitions.

Shapes: N batch, T frames, H, W pixels. Pixels are RGB in [0, 255].
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor


@dataclass(frozen=True)
class PhotometricDraw:
    """The drawn change of each clip of a batch.

    Attributes:
        jitter: per clip, the colour operations in their order with their factors; empty = no jitter.
        sigma: per clip, the standard deviation of the blur in pixels; None = no blur.
        grey: whether all clips lose their colours.
    """

    jitter: list[list[tuple[str, float]]]
    sigma: list[float | None]
    grey: bool = False


def adjust_color(images: Tensor, operation: str, factor: float, peak: float = 1.0) -> Tensor:
    """One colour operation on RGB images (..., 3, H, W) in [0, peak]; the result stays in it.

    ``brightness`` multiplies, ``contrast`` blends with each image's mean grey, ``saturation`` with the grey image,
    ``hue`` turns by a share of a full circle: torchvision's definitions, with unrounded luma weights.
    """
    if operation == 'hue':
        return turn_hue(images, factor)
    if operation == 'brightness':
        return (images * factor).clamp_(0, peak)
    # Luma of ITU-R BT.601; torchvision rounds the first weight to 0.2989.
    red, green, blue = images.unbind(dim=-3)
    grey = (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(-3)
    if operation == 'contrast':
        grey = grey.mean(dim=(-2, -1), keepdim=True)
    elif operation != 'saturation':
        raise ValueError(f'unknown colour operation {operation!r}; there are brightness, contrast, saturation and hue')
    return torch.lerp(grey, images, factor).clamp_(0, peak)


def turn_hue(images: Tensor, turn: float) -> Tensor:
    """Turn the hue of RGB images (..., 3, H, W) of any scale by a share of a full circle.

    What going to HSV and back gives, without the way there: value and chroma stay, and a channel lies below the value
    by the chroma times a trapezoid of the hue (Smith, "Color gamut transform pairs", SIGGRAPH 1978). torchvision
    sorts the pixels into six sextants, which takes longer.
    """
    red, green, blue = images.unbind(dim=-3)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    is_red, is_green = value == red, value == green
    # In sixths of the circle, from red over green to blue; greys have a numerator of 0.
    hue = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
    hue.div_(chroma.clamp(min=torch.finfo(chroma.dtype).tiny))
    hue.add_(torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0))).add_(6 * turn).remainder_(6)
    below = [(2 - (hue - 3).abs_()), (hue - 2).abs_().sub_(1), (hue - 4).abs_().sub_(1)]
    return torch.stack([torch.addcmul(value, chroma, share.clamp_(0, 1), value=-1) for share in below], dim=-3)


def reference_blur_kernel(size: tuple[int, int]) -> tuple[int, int]:
    """Kernel (rows, columns) of the reference: odd, about a tenth of the image (H, W) (DACS, DAFormer)."""
    def odd(length: int) -> int:
        tenth = math.ceil(0.1 * length)
        return math.floor(tenth - 0.5 + tenth % 2)
    return odd(size[0]), odd(size[1])


def gaussian_blur(images: Tensor, kernel: tuple[int, int], sigma: float) -> Tensor:
    """Separable Gaussian blur of images (N, C, H, W) with reflecting borders.

    Taps farther than six sigma weigh less than float32 resolves and are left out, which makes the reference's kernels
    (a tenth of the image, sigma around 1) cheap.
    """
    for axis, length in ((-2, kernel[0]), (-1, kernel[1])):
        radius = min(length // 2, math.ceil(6 * sigma), images.shape[axis] - 1)
        taps = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-radius, radius + 1)]
        padded = F.pad(images, (0, 0, radius, radius) if axis == -2 else (radius, radius, 0, 0), mode='reflect')
        # A sum of shifted images: for so few channels a convolution takes several times as long.
        images = torch.zeros_like(images)
        for start, tap in enumerate(taps):
            images.add_(padded.narrow(axis, start, images.shape[axis]), alpha=tap / sum(taps))
    return images


@MODELS.register_module()
class PhotometricChange:
    """Random colour jitter and blur (method of DACS; the defaults are the reference's values).

    Args:
        brightness, contrast, saturation: strength s, the factor is drawn from [1 - s, 1 + s].
        hue: strength s, the turn is drawn from [-s, s] (share of a full circle).
        jitter_probability, blur_probability, grey_probability: one decision per iteration for the whole batch, as in
            the reference.
        sigma: range of the blur's standard deviation in pixels.

    Raises:
        ValueError: a strength, probability or range that makes no sense.
    """

    def __init__(self,
                 brightness: float = 0.2,
                 contrast: float = 0.2,
                 saturation: float = 0.2,
                 hue: float = 0.2,
                 jitter_probability: float = 0.8,
                 blur_probability: float = 0.5,
                 sigma: tuple[float, float] = (0.15, 1.15),
                 grey_probability: float = 0.0) -> None:
        strengths = (brightness, contrast, saturation, hue)
        if min(strengths) < 0 or max(strengths[:3]) > 1 or hue > 0.5:
            raise ValueError('brightness, contrast and saturation are strengths in [0, 1] and hue one in [0, 0.5]; got '
                             f'{strengths}')
        if not all(0 <= probability <= 1 for probability in (jitter_probability, blur_probability, grey_probability)):
            raise ValueError('jitter_probability, blur_probability and grey_probability are in [0, 1]; got '
                             f'{jitter_probability}, {blur_probability} and {grey_probability}')
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError(f'sigma is a range of blur widths in pixels, 0 < low <= high; got {tuple(sigma)}')
        self.strength = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        self.jitter_probability = jitter_probability
        self.blur_probability = blur_probability
        self.sigma = sigma
        self.grey_probability = grey_probability

    def draw(self, batch: int, generator: torch.Generator) -> PhotometricDraw:
        """Draw the change of ``batch`` clips from a CPU generator."""
        def uniform(low: float, high: float) -> float:
            return low + (high - low) * torch.rand(1, generator=generator).tolist()[0]

        with_jitter = uniform(0, 1) < self.jitter_probability
        with_blur = uniform(0, 1) < self.blur_probability
        jitter, sigma = [], []
        for _ in range(batch):
            centre = dict(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0)
            factors = [(name, uniform(centre[name] - s, centre[name] + s)) for name, s in self.strength.items()]
            order = torch.randperm(len(factors), generator=generator).tolist()
            jitter.append([factors[i] for i in order] if with_jitter else [])
            blur = uniform(*self.sigma)
            sigma.append(blur if with_blur else None)
        # Nothing is drawn for what never happens, so that the streams of methods without it stay as they are.
        grey = self.grey_probability > 0 and uniform(0, 1) < self.grey_probability
        return PhotometricDraw(jitter=jitter, sigma=sigma, grey=grey)

    def apply(self, frames: Tensor, draw: PhotometricDraw) -> Tensor:
        """Change frames (N, T, 3, H, W) in [0, 255]; the frames of a clip change alike, clips differ."""
        kernel = reference_blur_kernel(tuple(frames.shape[-2:]))
        changed = []
        for clip, jitter, sigma in zip(frames, draw.jitter, draw.sigma, strict=True):
            if draw.grey:
                jitter = [*jitter, ('saturation', 0.0)]
            for operation, factor in jitter:
                clip = adjust_color(clip, operation, factor, peak=255)
            if sigma is not None:
                clip = gaussian_blur(clip, kernel, sigma)
            changed.append(clip)
        return torch.stack(changed)
