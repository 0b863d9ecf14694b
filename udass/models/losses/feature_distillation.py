"""Distil the features of a frozen foundation model into the student.

Source: Englert and Dubbelman 2025, "VFM-UDA++" (arXiv 2503.10685; tue-mps/vfm-uda-plusplus).
"""

from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from udass.models.precision import at_least_float32


@MODELS.register_module()
class FeatureDistillation(BaseModule):
    """Draws the coarsest features of the student, through a small head, to those of a frozen network.

    Checkpoints do not hold the frozen network, which may be larger than the student: a resumed training loads it from
    its own file again, and refuses another one.

    Args:
        frozen: config of the frozen network, a backbone whose last map is the target, such as a `TimmViT`.
        in_channels: channels of the student's map; filled in where the student's backbone has ``channels``.
        size: height and width of the image that the frozen network sees.
        weight: factor of the loss.
        smooth_l1_share: share of the smooth L1 distance; the rest is the cosine distance.
    """

    def __init__(
        self,
        frozen: dict,
        in_channels: int,
        size: tuple[int, int] = (406, 406),
        weight: float = 0.1,
        smooth_l1_share: float = 0.1,
    ) -> None:
        super().__init__()
        self.size, self.weight, self.smooth_l1_share = tuple(size), weight, smooth_l1_share
        self.frozen = MODELS.build(frozen).requires_grad_(False).eval()
        self.is_loaded = False
        self.saved_sum: float | None = None
        self.register_state_dict_post_hook(_without_frozen)
        self.register_load_state_dict_pre_hook(_with_frozen)
        self.head = nn.Sequential(
            nn.Conv2d(in_channels, 4 * in_channels, 1),
            LayerNorm2d(4 * in_channels),
            nn.GELU(),
            nn.Conv2d(4 * in_channels, self.frozen.channels[-1], 1),
        )

    def train(self, mode: bool = True) -> 'FeatureDistillation':
        """Set the mode of the head; the frozen network stays in evaluation mode."""
        super().train(mode)
        self.frozen.eval()
        return self

    def init_weights(self) -> None:
        """Load the weights of the frozen network; errors as of its class, and ValueError if a training that is resumed
        had others."""
        self.frozen.init_weights()
        self.is_loaded = True
        found = self.frozen_sum()
        if self.saved_sum is not None and abs(found - self.saved_sum) > 1e-9 * self.saved_sum:
            raise ValueError(
                'the frozen network of FeatureDistillation has other weights than in the training that is resumed (the '
                f'sum of their absolute values is {found}, it was {self.saved_sum}): set distillation.frozen to the '
                'same network and file'
            )

    def frozen_sum(self) -> float:
        """The sum of the absolute values of all frozen weights, by which they are recognized."""
        return torch.stack([value.abs().sum(dtype=torch.float64) for value in self.frozen.parameters()]).sum().item()

    def get_extra_state(self) -> dict[str, Any]:
        return {'frozen_sum': self.frozen_sum()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.saved_sum = state['frozen_sum']

    @torch.no_grad()
    def targets(self, images: Tensor) -> Tensor:
        """Features (N, D, h, w) of the frozen network for normalised images (N, 3, H, W)."""
        if not self.is_loaded:
            # A resumed training has not initialised its weights.
            self.init_weights()
        return self.frozen(F.interpolate(images, size=self.size, mode='bilinear', align_corners=False))[-1]

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """The weighted loss of features (N, in_channels, h, w) of the student against `targets` (N, D, H, W)."""
        resized = F.interpolate(self.head(features), size=targets.shape[2:], mode='bilinear', align_corners=False)
        return self.weight * feature_loss(resized, targets, self.smooth_l1_share)


def feature_loss(features: Tensor, targets: Tensor, smooth_l1_share: float) -> Tensor:
    """Mean over all places of a smooth L1 distance (mean over channels) and a cosine distance; both (N, D, h, w)."""
    features, targets = at_least_float32(features), at_least_float32(targets)
    absolute = F.smooth_l1_loss(features, targets)
    angular = (1 - F.cosine_similarity(features, targets, dim=1)).mean()
    return smooth_l1_share * absolute + (1 - smooth_l1_share) * angular


def _without_frozen(module: nn.Module, state: dict, prefix: str, *_: object) -> None:
    for key in [key for key in state if key.startswith(f'{prefix}frozen.')]:
        del state[key]


def _with_frozen(module: FeatureDistillation, state: dict, prefix: str, *_: object) -> None:
    state.update({f'{prefix}frozen.{key}': value for key, value in module.frozen.state_dict().items()})
