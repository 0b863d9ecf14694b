"""Photometric changes of images: colour jitter, Gaussian blur and histogram matching.

Shapes: N batch, T frames, H, W pixels. Pixels are RGB in [0, 255].
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Generator, Tensor


class Decision(NamedTuple):
    """Whether the colours of an iteration's images change, and whether they are blurred."""

    jitter: bool
    blur: bool


class PhotometricDraw(NamedTuple):
    """The drawn change of one clip.

    Attributes:
        jitter: the colour operations in their order with their factors; empty = no jitter.
        sigma: the standard deviation of the blur in pixels; None = no blur.
    """

    jitter: list[tuple[str, float]]
    sigma: float | None


def kornia_color(images: Tensor, operation: str, factor: float | Tensor, peak: float = 1.0) -> Tensor:
    """One colour operation of RGB images (..., 3, H, W) in [0, peak], as in kornia 0.5.8, which DACS, DAFormer, HRDA
    and MIC pin. The factor is a number, or a tensor (N, 1, 1, 1) with one for each image.

    ``brightness`` adds (factor - 1) of the peak, ``contrast`` multiplies the values, ``saturation`` multiplies S in
    HSV, ``hue`` adds a share of a full circle to H.
    """
    if operation == 'hue':
        return turn_hue(images, factor)
    if operation == 'brightness':
        return torch.add(images, factor - 1, alpha=peak).clamp_(0, peak)
    if operation == 'contrast':
        return (images * factor).clamp_(0, peak)
    if operation != 'saturation':
        raise ValueError(_unknown(operation))
    # Value and hue stay: each channel moves away from the value in proportion, at most until the smallest is 0 (S = 1).
    value, smallest = images.amax(dim=-3, keepdim=True), images.amin(dim=-3, keepdim=True)
    chroma = (value - smallest).clamp_(min=torch.finfo(images.dtype).tiny)
    return torch.lerp(value, images, (value / chroma).clamp_(max=factor)).clamp_(min=0)


def torchvision_color(images: Tensor, operation: str, factor: float | Tensor, peak: float = 1.0) -> Tensor:
    """One colour operation of RGB images (..., 3, H, W) in [0, peak], as in torchvision (and kornia from 0.6.12), with
    unrounded luma weights. Factors as of `kornia_color`.

    ``brightness`` multiplies, ``contrast`` blends with each image's mean grey, ``saturation`` with the grey image,
    ``hue`` adds a share of a full circle to H in HSV.
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
        raise ValueError(_unknown(operation))
    return torch.lerp(grey, images, factor).clamp_(0, peak)


COLOR_OPERATIONS = dict(kornia=kornia_color, torchvision=torchvision_color)
# The operations, and the factors that change nothing.
_NEUTRAL = dict(brightness=1.0, contrast=1.0, saturation=1.0, hue=0.0)


def join_orders(jitters: Sequence[Sequence[tuple[str, float]]]) -> list[tuple[str, list[float]]]:
    """Colour operations of several images, each in an order of its own, as one sequence for all of them.

    Each entry has the factors of all images. An image whose turn it is not gets one that changes nothing. Hue, which
    takes longest, waits until it is next for all.
    """
    left = [list(jitter) for jitter in jitters]
    joined = []
    while any(left):
        operation = min((one[0][0] for one in left if one), key=list(_NEUTRAL).index)
        factors = [one.pop(0)[1] if one and one[0][0] == operation else _NEUTRAL[operation] for one in left]
        joined.append((operation, factors))
    return joined


def _unknown(operation: str) -> str:
    return f'unknown colour operation {operation!r}; expected brightness, contrast, saturation or hue'


def turn_hue(images: Tensor, turn: float | Tensor) -> Tensor:
    """Turn the hue of RGB images (..., 3, H, W) of any scale by a share of a full circle, as via HSV.

    Value and chroma stay, and a channel lies below the value by the chroma times a trapezoid of the hue (Smith, "Color
    gamut transform pairs", SIGGRAPH 1978). torchvision sorts the pixels into six sextants, which takes longer.
    """
    red, green, blue = images.unbind(dim=-3)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    is_red, is_green = value == red, value == green
    # In sixths of the circle, from red over green to blue; greys have a numerator of 0.
    hue = torch.where(is_red, green - blue, torch.where(is_green, blue - red, red - green))
    hue.div_(chroma.clamp(min=torch.finfo(chroma.dtype).tiny))
    if isinstance(turn, Tensor):
        # (N, 1, 1) beside pixels (N, H, W).
        turn = turn.squeeze(-3)
    hue.add_(torch.where(is_red, 0.0, torch.where(is_green, 2.0, 4.0))).add_(turn, alpha=6).remainder_(6)
    below = [(2 - (hue - 3).abs_()), (hue - 2).abs_().sub_(1), (hue - 4).abs_().sub_(1)]
    return torch.stack([torch.addcmul(value, chroma, share.clamp_(0, 1), value=-1) for share in below], dim=-3)


def reference_blur_kernel(size: Sequence[int]) -> tuple[int, int]:
    """Kernel (rows, columns) of the reference: odd, about a tenth of the image (H, W) (DACS, DAFormer)."""
    rows, columns = (math.ceil(0.1 * length) for length in size)
    return math.floor(rows - 0.5 + rows % 2), math.floor(columns - 0.5 + columns % 2)


def gaussian_blur(images: Tensor, kernels: Sequence[tuple[int, int]], sigmas: Sequence[float | None]) -> Tensor:
    """Separable Gaussian blur of images (N, C, H, W) with reflecting borders.

    Taps farther than six sigma weigh less than float32 resolves and are left out, which makes the reference's kernels
    (a tenth of the image, sigma around 1) cheap.

    Args:
        kernels: (rows, columns) of each image.
        sigmas: standard deviation of each image in pixels; None leaves it as it is.
    """
    for axis in (-2, -1):
        radii = [
            0 if sigma is None else min(kernel[axis] // 2, math.ceil(6 * sigma), images.shape[axis] - 1)
            for kernel, sigma in zip(kernels, sigmas, strict=True)
        ]
        reach = max(radii)
        weights = [_taps(radius, reach, sigma) for radius, sigma in zip(radii, sigmas, strict=True)]
        taps = torch.tensor(weights, dtype=images.dtype).T.to(images.device, non_blocking=True)[..., None, None, None]
        padded = F.pad(images, (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0), mode='reflect')
        # A sum of shifted images: for so few channels a convolution takes several times as long.
        images = torch.zeros_like(images)
        for start, tap in enumerate(taps):
            images.addcmul_(padded.narrow(axis, start, images.shape[axis]), tap)
    return images


def _taps(radius: int, reach: int, sigma: float | None) -> list[float]:
    """Weights of the pixels from ``-reach`` to ``reach``, 0 beyond the radius, with a sum of 1."""
    offsets = range(-reach, reach + 1)
    weights = [math.exp(-0.5 * (offset / (sigma or 1)) ** 2) if abs(offset) <= radius else 0.0 for offset in offsets]
    return [weight / sum(weights) for weight in weights]


def match_histograms(images: Tensor, references: Tensor) -> Tensor:
    """Give each channel of images (N, K, H, W) the distribution of values of the references (N, K, H', W').

    Each value goes to the reference's value of the same quantile, linearly between those that occur; it is not rounded.
    This is skimage's ``exposure.match_histograms`` per channel, for all channels at once.
    """
    # (N * K, P) values, and (N * K, Q) of the reference.
    values, reference = (one.flatten(0, 1).flatten(1).contiguous() for one in (images, references))
    order, known = values.sort().values, reference.sort().values
    # Quantile of a value: share of values that are not larger. Equal reference values keep their last quantile only.
    quantiles = torch.searchsorted(order, values, right=True).to(values.dtype) / order.shape[1]
    grid = torch.searchsorted(known, known, right=True).to(values.dtype) / known.shape[1]
    # numpy's ``interp`` of the known values over the grid; runs of equal entries are one point of it.
    above = torch.searchsorted(grid, quantiles).clamp(max=grid.shape[1] - 1)
    upper = grid.gather(1, above)
    below = torch.searchsorted(grid, upper).sub(1).clamp(min=0)
    lower = grid.gather(1, below)
    width = upper - lower
    share = torch.where(width > 0, (quantiles - lower) / width.clamp(min=torch.finfo(grid.dtype).tiny), 1.0)
    return torch.lerp(known.gather(1, below), known.gather(1, above), share.clamp(0, 1)).reshape(images.shape)


def _uniform(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * torch.rand(1, generator=generator).tolist()[0]


@MODELS.register_module()
class PhotometricChange:
    """Random colour jitter, then grey, then blur (method of DACS; the defaults are the reference's values).

    Args:
        operations: definitions of the colour operations, ``kornia`` (`kornia_color`) or ``torchvision``
            (`torchvision_color`).
        brightness, contrast, saturation: strength s, the factor is drawn from [1 - s, 1 + s].
        hue: strength s, the turn is drawn from [-s, s] (share of a full circle).
        jitter_probability, blur_probability: one decision per iteration for the whole batch, as in the reference.
        sigma: range of the blur's standard deviation in pixels.
        grey_probability: how often an image loses its colours; needs torchvision's operations.
        per_image: every image of the batch has decisions, order of the operations and width of the blur of its own.
    """

    def __init__(
        self,
        operations: str = 'kornia',
        brightness: float = 0.2,
        contrast: float = 0.2,
        saturation: float = 0.2,
        hue: float = 0.2,
        jitter_probability: float = 0.8,
        blur_probability: float = 0.5,
        sigma: tuple[float, float] = (0.15, 1.15),
        grey_probability: float = 0.0,
        per_image: bool = False,
    ) -> None:
        if operations not in COLOR_OPERATIONS:
            raise ValueError(f'operations are those of {" or ".join(COLOR_OPERATIONS)}, got {operations!r}')
        strengths = (brightness, contrast, saturation, hue)
        if min(strengths) < 0 or max(strengths[:3]) > 1 or hue > 0.5:
            raise ValueError(
                f'brightness, contrast and saturation are strengths in [0, 1] and hue one in [0, 0.5]; got {strengths}'
            )
        probabilities = (jitter_probability, blur_probability, grey_probability)
        if not (min(probabilities) >= 0 and max(probabilities) <= 1):
            raise ValueError(
                f'jitter_probability, blur_probability and grey_probability are in [0, 1]; got {probabilities}'
            )
        if grey_probability > 0 and operations != 'torchvision':
            raise ValueError(
                f"grey_probability takes the grey of torchvision: set operations='torchvision'; got {operations!r}"
            )
        if not 0 < sigma[0] <= sigma[1]:
            raise ValueError(f'sigma is a range of blur widths in pixels, 0 < low <= high; got {tuple(sigma)}')
        self.operations = operations
        self.strength = dict(brightness=brightness, contrast=contrast, saturation=saturation, hue=hue)
        self.jitter_probability = jitter_probability
        self.blur_probability = blur_probability
        self.sigma = sigma
        self.grey_probability = grey_probability
        self.per_image = per_image

    def decide(self, generator: Generator) -> Decision:
        """Draw from a CPU generator whether colours change and whether images are blurred."""
        jitter = _uniform(0, 1, generator) < self.jitter_probability
        return Decision(jitter, _uniform(0, 1, generator) < self.blur_probability)

    def draw(self, batch: int, generator: Generator, decision: Decision | None = None) -> list[PhotometricDraw]:
        """Draw the change of ``batch`` clips from a CPU generator.

        As in one call of the reference's functions, factors are drawn for each clip, the order of the operations and
        the width of the blur for all of them.

        Args:
            decision: shared by the passes of one iteration; None decides anew.
        """
        if self.per_image and batch > 1:
            return [self.draw(1, generator, decision)[0] for _ in range(batch)]
        decision = self.decide(generator) if decision is None else decision
        order = torch.randperm(len(self.strength), generator=generator).tolist()
        sigma = self.draw_sigma(generator)
        changes = []
        for _ in range(batch):
            factors = []
            for name, strength in self.strength.items():
                centre = 0.0 if name == 'hue' else 1.0
                factors.append((name, _uniform(centre - strength, centre + strength, generator)))
            jitter = [factors[i] for i in order] if decision.jitter else []
            changes.append(PhotometricDraw(jitter, sigma if decision.blur else None))
        if self.grey_probability == 0:
            # Nothing is drawn, so that the random streams of methods without it stay as they are.
            return changes
        return [
            # A grey image's last colour operation takes all its saturation.
            change._replace(jitter=[*change.jitter, ('saturation', 0.0)])
            if _uniform(0, 1, generator) < self.grey_probability
            else change
            for change in changes
        ]

    def draw_sigma(self, generator: Generator) -> float:
        """Draw the blur's standard deviation in pixels."""
        return _uniform(*self.sigma, generator)

    def apply(self, frames: Tensor, changes: Sequence[PhotometricDraw]) -> Tensor:
        """Change frames (N, T, 3, H, W) in [0, 255]; the frames of a clip change alike, clips differ."""
        return self.blur(self.change_colors(frames, changes), changes)

    def blur(self, frames: Tensor, changes: Sequence[PhotometricDraw]) -> Tensor:
        """Blur each clip as drawn."""
        sigmas = [change.sigma for change in changes]
        if sigmas.count(None) == len(sigmas):
            return frames
        size = tuple(frames.shape[-2:])
        kernels = [(1, 1) if sigma is None else self.blur_kernel(size, sigma) for sigma in sigmas]
        return gaussian_blur(frames.flatten(1, 2), kernels, sigmas).reshape(frames.shape)

    def blur_kernel(self, size: Sequence[int], sigma: float) -> tuple[int, int]:
        """Rows and columns of the blur's kernel for images (H, W)."""
        return reference_blur_kernel(size)

    def change_colors(self, frames: Tensor, changes: Sequence[PhotometricDraw]) -> Tensor:
        """Apply the colour operations; the mean grey of torchvision's contrast is that of all frames of a clip."""
        steps = join_orders([change.jitter for change in changes])
        if not steps:
            return frames
        # One copy to the device for all factors, (operations, N, 1, 1, 1).
        factors = torch.tensor([values for _, values in steps], dtype=frames.dtype)
        factors = factors.to(frames.device, non_blocking=True)[..., None, None, None]
        # The frames of a clip as one image, one above the other.
        images = frames.transpose(1, 2).flatten(2, 3)
        for (operation, values), factor in zip(steps, factors, strict=True):
            changed = COLOR_OPERATIONS[self.operations](images, operation, factor, peak=255)
            # A turn by 0 is rounded.
            keep = operation == 'hue' and 0.0 in values
            images = torch.where(factor == 0, images, changed) if keep else changed
        return images.unflatten(2, (frames.shape[1], frames.shape[3])).transpose(1, 2).contiguous()


@MODELS.register_module()
class StrongAugmentation(PhotometricChange):
    """Random blur, then colour jitter with torchvision's operations, then grey (TPS, QuadMix on video).

    The reference draws it for one clip per iteration; a larger batch shares what `PhotometricChange` shares.

    Args:
        brightness, contrast, saturation, hue, jitter_probability, blur_probability: see `PhotometricChange`.
        sigmas: the blur's standard deviation in pixels is one of these.
        grey_probability: see `PhotometricChange`.
    """

    def __init__(
        self,
        brightness: float = 0.8,
        contrast: float = 0.8,
        saturation: float = 0.8,
        hue: float = 0.2,
        jitter_probability: float = 0.8,
        blur_probability: float = 0.6,
        sigmas: Sequence[float] = (5, 7, 9),
        grey_probability: float = 0.2,
    ) -> None:
        if not sigmas or min(sigmas) <= 0:
            raise ValueError(f'sigmas are widths of the blur in pixels, larger than 0; got {tuple(sigmas)}')
        super().__init__(
            'torchvision',
            brightness,
            contrast,
            saturation,
            hue,
            jitter_probability,
            blur_probability,
            (min(sigmas), max(sigmas)),
            grey_probability,
        )
        self.sigmas = tuple(sigmas)

    def draw_sigma(self, generator: Generator) -> float:
        """Draw one of the standard deviations."""
        return float(self.sigmas[torch.randint(len(self.sigmas), (1,), generator=generator).tolist()[0]])

    def apply(self, frames: Tensor, changes: Sequence[PhotometricDraw]) -> Tensor:
        """As of `PhotometricChange`, blur first."""
        return self.change_colors(self.blur(frames, changes), changes)

    def blur_kernel(self, size: Sequence[int], sigma: float) -> tuple[int, int]:
        """Pixels farther away than four sigma weigh less than 0.0001, a fiftieth of a grey level."""
        length = 2 * math.ceil(4 * sigma) + 1
        return length, length
