"""Scores that need no labels: of a network's probabilities on unlabelled images, and of finished runs.

Shapes: n pixels, C classes, H x W pixels of an image.
"""

from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.registry import METRICS
from torch import Tensor

# Rows of the matrix of similarities that are in memory at once.
_ROWS = 1024
# Names of the scores.
UNLABELLED = ('entropy', 'InfoMax', 'SND')


@METRICS.register_module()
class UnlabelledMetric(BaseMetric):
    """Scores of a network's probabilities that need no labels, on pixels that are drawn from every image.

    - ``entropy``: mean entropy of the probabilities of a pixel in nats; lower is surer.
    - ``InfoMax``: entropy of the mean probabilities minus the mean entropy, in nats; higher is better. It is high where
      the network is sure of its pixels and uses all classes. Source: Musgrave et al. 2022, arXiv 2208.07360.
    - ``SND``, soft neighbourhood density: the mean entropy, in nats, of the similarities of a pixel to all others;
      higher is denser. Source: Saito et al. 2021, arXiv 2108.10860. It grows with the number of pixels: compare runs
      that draw as many.

    Use it in ``val_evaluator`` or ``test_evaluator``, alone or beside ``ClassIoUMetric``, or on the training images of
    the target with `TargetValidationHook`.

    Args:
        pixels_per_image: how many pixels are drawn from an image, the same ones in every evaluation.
        max_snd_pixels: how many of all drawn pixels, evenly chosen, SND compares with each other; its time grows with
            their square.
        temperature: of the softmax over similarities in SND.
        collect_device, prefix: see ``ClassIoUMetric``.
    """

    # Without a prefix mmengine warns at every start.
    default_prefix = ''

    def __init__(
        self,
        pixels_per_image: int = 100,
        max_snd_pixels: int = 4000,
        temperature: float = 0.05,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if pixels_per_image < 1 or max_snd_pixels < 2 or temperature <= 0:
            raise ValueError(
                'UnlabelledMetric needs pixels_per_image >= 1, max_snd_pixels >= 2 and temperature > 0; got '
                f'{pixels_per_image}, {max_snd_pixels} and {temperature}'
            )
        self.pixels_per_image = pixels_per_image
        self.max_snd_pixels = max_snd_pixels
        self.temperature = temperature

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            if 'seg_logits' not in sample:
                raise ValueError(f'the model returns no logits of {sample.get("img_path")}: leave UnlabelledMetric out')
            logits = sample['seg_logits']['data'].flatten(1)  # (C, H * W)
            # The pixels depend on the image alone, not on the order or the process.
            generator = torch.Generator().manual_seed(crc32(Path(str(sample.get('img_path'))).name.encode()))
            drawn = torch.randperm(logits.shape[1], generator=generator)[: self.pixels_per_image]
            logits = logits[:, drawn.to(logits.device)].float().T
            if logits.shape[1] == 1:  # a binary head
                logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
            self.results.append(logits.softmax(1).cpu())

    def compute_metrics(self, results: list[Tensor]) -> dict[str, float]:
        if not results:
            raise ValueError('there are no images: correct the paths of the data set')
        probabilities = torch.cat(results)
        step = -(-len(probabilities) // self.max_snd_pixels)
        density = soft_neighbourhood_density(probabilities[::step], self.temperature)
        mean_entropy = float(entropy(probabilities).mean())
        information = float(entropy(probabilities.mean(0, keepdim=True))) - mean_entropy
        scores = dict(zip(UNLABELLED, (mean_entropy, information, density), strict=True))
        text = ', '.join(f'{name} {value:.4f}' for name, value in scores.items())
        MMLogger.get_current_instance().info(f'without labels, on {len(probabilities)} pixels: {text}')
        return {name: round(value, 4) for name, value in scores.items()}


def entropy(probabilities: Tensor) -> Tensor:
    """Entropy in nats of each row of probabilities (n, C): (n,)."""
    return torch.special.entr(probabilities).sum(1)


def soft_neighbourhood_density(probabilities: Tensor, temperature: float = 0.05) -> float:
    """Mean entropy, in nats, of the softmax over the cosine similarities, divided by a temperature, of each pixel to
    all others; probabilities (n, C) of at least two pixels."""
    features = torch.nn.functional.normalize(probabilities, dim=1)
    total = 0.0
    for first in range(0, len(features), _ROWS):
        similarities = features[first : first + _ROWS] @ features.T / temperature
        # A pixel is no neighbour of its own.
        similarities.diagonal(first).fill_(-torch.inf)
        total += float(entropy(similarities.softmax(1)).sum())
    return total / len(features)


def ensemble_agreement(predictions: Sequence[np.ndarray], classes: int) -> list[float]:
    """Share of the pixels, in percent, where each of several runs predicts (class ids of one shape) what most predict.

    The ensemble of all candidates stands for the labels, as in EnsV (Hu et al. 2023, Simplifying and Stabilizing Model
    Selection in Unsupervised Domain Adaptation). There it is the mean of their probabilities; files of predictions hold
    classes, so that here they vote. Of classes with as many votes the first one wins.
    """
    stacked = np.stack([prediction.ravel() for prediction in predictions])
    votes = np.stack([(stacked == number).sum(0) for number in range(classes)])
    return (100 * (stacked == votes.argmax(0)).mean(axis=1)).tolist()


def rank_correlation(scores: Sequence[float], miou: Sequence[float]) -> float:
    """Spearman's rank correlation of a score with the mIoU over runs, in [-1, 1]; NaN where one of them is constant."""
    from scipy.stats import spearmanr

    if min(len(set(scores)), len(set(miou))) < 2:
        return float('nan')
    return float(spearmanr(scores, miou).statistic)
