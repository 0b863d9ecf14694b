"""The weights of an image network as those of a network of two frames."""

from collections.abc import Mapping

import torch
from torch import Tensor

# The last layer of the decoders, whose outputs are the classes; HRDA's are those of its head.
_CLASSIFIERS = tuple(
    f'decode_head.{head}{layer}.weight'
    for head in ('', 'head.')
    for layer in ('conv_seg', 'linear_pred', 'aspp_modules.0.conv')
)
_FUSION = 'fusion.weight'


def add_fusion(weights: Mapping[str, Tensor], previous_share: float) -> dict[str, Tensor]:
    """Weights of a ``FlowGuidedEncoderDecoder`` or ``FlowGuidedHRDAEncoderDecoder`` that averages the scores of two
    frames, from those of one frame.

    Args:
        weights: of one segmentor that knows single frames.
        previous_share: s in [0, 1]; the fused scores are (1 - s) times those of the current frame plus s times the
            warped ones of the previous frame. 0 is how the fusion starts in training.

    Returns:
        The weights and ``fusion.weight`` (C, 2 C, 1, 1), C classes.

    Raises:
        ValueError: the share is out of range, the weights have a fusion already, or no decoder that is known.
    """
    if not 0 <= previous_share <= 1:
        raise ValueError(f'the share of the previous frame is in [0, 1], got {previous_share}')
    if _FUSION in weights:
        raise ValueError(
            f'these are the weights of a network of two frames already: it has a {_FUSION}. Leave the fusion out'
        )
    classifier = next((weights[name] for name in _CLASSIFIERS if name in weights), None)
    if classifier is None:
        raise ValueError(
            f'a fusion needs the number of classes, but none of {", ".join(_CLASSIFIERS)} is there: give '
            'the weights of a whole segmentor'
        )
    unit = torch.eye(len(classifier), dtype=classifier.dtype)
    fusion = torch.cat([(1 - previous_share) * unit, previous_share * unit], dim=1)
    return {**weights, _FUSION: fusion[..., None, None]}
