"""The per-pixel linear embedding that the SegFormer and DAFormer decoders put before their fusion.

Shapes: N batch, h, w cells of a feature map.
"""

from torch import Tensor, nn


class MLPEmbedding(nn.Module):
    """One linear layer on every cell: (N, in_channels, h, w) to (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        tokens = features.flatten(2).transpose(1, 2)
        return self.proj(tokens).transpose(1, 2).unflatten(2, features.shape[2:])
