"""What a network is shown of loaded clips.

Shapes: N batch, T frames (1 for images), H, W pixels.
"""

import torch
from torch import Tensor, nn

from udass.models.segmentors import FlowGuidedEncoderDecoder


def flow_of(samples: list) -> Tensor | None:
    """Motion from frame 0 to the other frames, (N, T-1, 2, H, W), of loaded clips; None of images."""
    if not samples or 'flow' not in samples[0]:
        return None
    return torch.stack([sample.flow for sample in samples])


def trusted_pixels(samples: list) -> Tensor | None:
    """Where pseudo-labels of loaded images are to be trusted, (N, 1, H, W); None where the loader marks no margins."""
    if 'valid_pseudo_mask' not in samples[0]:
        return None
    return torch.stack([sample.valid_pseudo_mask.data for sample in samples])


def model_inputs(
    network: nn.Module, frames: Tensor, flow: Tensor | None
) -> tuple[Tensor, dict[str, Tensor | bool | None]]:
    """What a network takes of normalised clips: frames and flow if it uses flow, else frame 0.

    Args:
        frames: (N, T, 3, H, W).
        flow: (N, T-1, 2, H, W) or None.

    Returns:
        Its input and keyword arguments.
    """
    if flow is None or not isinstance(network, FlowGuidedEncoderDecoder):
        return frames[:, 0], {}
    return frames, {'flow': flow}
