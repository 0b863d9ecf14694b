"""The Mix Transformer (MiT) of SegFormer as its authors and every code base built on it run it.

Shapes: N batch, L tokens (h * w of a stage), E channels.
Source: Xie et al. 2021 (arXiv 2105.15203).
"""

from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from torch import Tensor, nn

# Channels of the first stage and blocks per stage.
VARIANTS: dict[str, tuple[int, tuple[int, int, int, int]]] = {
    'b0': (32, (2, 2, 2, 2)),
    'b1': (64, (2, 2, 2, 2)),
    'b2': (64, (3, 4, 6, 3)),
    'b3': (64, (3, 4, 18, 3)),
    'b4': (64, (3, 8, 27, 3)),
    'b5': (64, (3, 6, 40, 3)),
}
_HEADS = (1, 2, 5, 8)
_REDUCTIONS = (8, 4, 2, 1)
# Stage 1 has stride 4 and reduces its keys by another 8 with an unpadded convolution: (size - 1) // 4 + 1 >= 8.
_SMALLEST = 29


@MODELS.register_module()
class MiT(MixVisionTransformer):
    """mmseg's MixVisionTransformer with the reference's normalisation, drop-path and memory-saving attention.

    mmseg uses one LayerNorm epsilon, 1e-6; the reference's patch-embedding and key-reduction norms have 1e-5, and
    published weights were trained so. Attention maps are never materialised (mmseg asks for them and drops them).
    State dict keys are mmseg's.

    Args:
        variant: ``b0`` to ``b5``; the stages have (1, 2, 5, 8) times 32 (b0) or 64 channels at strides 4, 8, 16, 32.
        drop_path_rate: probability of dropping a residual branch in the last block, rising linearly from 0.
        with_cp: recompute activations in the backward pass, for less memory.
        init_cfg: start weights; `StrictPretrained` loads a file completely or fails.

    Raises:
        ValueError: an unknown variant.
    """

    def __init__(
        self, variant: str, drop_path_rate: float = 0.1, with_cp: bool = False, init_cfg: dict | None = None
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f'MiT has the variants {", ".join(VARIANTS)}; got {variant!r}')
        embed_dims, num_layers = VARIANTS[variant]
        super().__init__(
            embed_dims=embed_dims,
            num_layers=num_layers,
            num_heads=_HEADS,
            sr_ratios=_REDUCTIONS,
            drop_path_rate=drop_path_rate,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        self.channels = [embed_dims * heads for heads in _HEADS]
        for patch_embed, blocks, _ in self.layers:
            patch_embed.norm.eps = 1e-5
            for block in blocks:
                block.attn.attn = _Attention(block.attn.embed_dims, block.attn.num_heads, bias=True)
                if block.attn.sr_ratio > 1:
                    block.attn.norm.eps = 1e-5

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Features of images (N, 3, H, W), finest first; stage i is (N, channels[i], ceil(H/s), ceil(W/s)).

        Raises:
            ValueError: an image side is shorter than 29 pixels.
        """
        if min(inputs.shape[-2:]) < _SMALLEST:
            raise ValueError(
                f'MiT needs images of at least {_SMALLEST} pixels on each side; got {tuple(inputs.shape[-2:])} (HRDA '
                'gives it the image at its context scale)'
            )
        return super().forward(inputs)


class _Attention(nn.MultiheadAttention):
    """Multi-head attention that does not return (and so never stores) the attention maps."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        """Attention of query (L, N, E) over key and value (M, N, E); output (L, N, E)."""
        return super().forward(query, key, value, need_weights=False)
