"""The Mix Transformer (MiT) of SegFormer as its authors and every code base built on it run it.

Shapes: N batch, L tokens (h * w of a stage), E channels.
Source: Xie et al. 2021 (arXiv 2105.15203).
"""

import torch.nn.functional as F
from mmseg.models.backbones import MixVisionTransformer
from mmseg.registry import MODELS
from timm.layers import DropPath
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
                # As mmcv's, which takes twice as many operations.
                for part in (block.attn, block.ffn):
                    part.dropout_layer = DropPath(part.dropout_layer.drop_prob)
                if block.attn.sr_ratio > 1:
                    block.attn.norm.eps = 1e-5

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Features of images (N, 3, H, W), finest first; stage i is (N, channels[i], ceil(H/s), ceil(W/s)). ValueError
        if a side is shorter than 29 pixels."""
        if min(inputs.shape[-2:]) < _SMALLEST:
            raise ValueError(
                f'MiT needs images of at least {_SMALLEST} pixels on each side; got {tuple(inputs.shape[-2:])} (HRDA '
                'gives it the image at its context scale)'
            )
        return super().forward(inputs)


class _Attention(nn.MultiheadAttention):
    """Multi-head attention that never stores the attention maps, with the parameters of its base.

    mmseg hands over tokens that are stored image by image. They are projected as they are stored, so that nothing is
    copied between the operations.
    """

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        """Attention of query (L, N, E) over key, which is also the value, (M, N, E); output (L, N, E) and no maps."""
        channels = [self.embed_dim, 2 * self.embed_dim]
        query_weight, weight = self.in_proj_weight.split(channels)
        query_bias, bias = self.in_proj_bias.split(channels)
        queries = F.linear(query.transpose(0, 1), query_weight, query_bias)
        keys, values = F.linear(key.transpose(0, 1), weight, bias).chunk(2, dim=-1)
        heads = (part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (queries, keys, values))
        attended = F.scaled_dot_product_attention(*heads)
        return self.out_proj(attended.transpose(1, 2).flatten(2)).transpose(0, 1), None
