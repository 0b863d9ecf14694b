"""DINOv2 without registers, with positions interpolated as its authors do it.

Shapes: N images, H, W pixels, E channels, h, w patches.
Sources: Oquab et al. 2023 (arXiv 2304.07193; facebookresearch/dinov2); Englert et al. 2024, "VFM-UDA"
(arXiv 2406.09896; tue-mps/vfm-uda).
"""

import logging
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as recompute

from udass.models.backbones.lora import plain_key
from udass.models.backbones.timm import TimmNetwork, masked_patches


@MODELS.register_module()
class DINOv2(TimmNetwork):
    """The normalised tokens of the last block as one map (N, E, h, w).

    Images are enlarged to the next multiple of ``multiple`` pixels (1024 to 1120 with 224).

    Args:
        name: timm's name of a ViT without registers.
        checkpoint: local file or URL of weights under timm's names or those of their authors.
        pretrained: without a checkpoint, fetch timm's weights from its hub.
        multiple: both sides of the inner image are multiples of it; it is a multiple of the patch size.
        with_cp: recompute the activations of each block in the backward pass, to save memory.
        mask_token: have a token that takes the place of masked patches. A file of the authors holds theirs; from
            other weights it starts at 0.
        frozen, lora: as of `TimmViT`.

    Raises:
        ValueError: timm has no such network, or it has other tokens than the class token before the patches.
    """

    def __init__(
        self,
        name: str = 'vit_base_patch14_dinov2.lvd142m',
        checkpoint: str | None = None,
        pretrained: bool = True,
        multiple: int = 224,
        with_cp: bool = False,
        mask_token: bool = False,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        options = dict(num_classes=0, global_pool='', dynamic_img_size=False)
        super().__init__(name, checkpoint, pretrained, options, frozen, lora)
        if self.net.num_prefix_tokens != 1:
            raise ValueError(
                f'{type(self).__name__} takes a ViT with a class token only before the patches; {name} has '
                f'{self.net.num_prefix_tokens} such tokens: use TimmViT'
            )
        self.patch_size = self.net.patch_embed.patch_size[0]
        self.net.patch_embed.strict_img_size = False
        self.multiple, self.channels = multiple, [self.net.embed_dim]
        # Not named as in mmseg's backbones, whose checkpointing the runner replaces.
        self.grad_checkpointing = with_cp
        self.mask_token = nn.Parameter(torch.zeros(1, self.net.embed_dim)) if mask_token else None

    def forward(self, inputs: Tensor, token_mask: Tensor | None = None) -> list[Tensor]:
        """The map of images (N, 3, H, W); the mask token replaces patches where ``token_mask`` (N, h, w) is True."""
        class_token, tokens, grid = self.embed(self.resize(inputs), token_mask)
        tokens = torch.cat([class_token, tokens], dim=1)
        recomputes = self.grad_checkpointing and self.training
        for block in self.net.blocks:
            tokens = recompute(block, tokens, use_reentrant=False) if recomputes else block(tokens)
        return [self.net.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, grid)]

    def resize(self, images: Tensor) -> Tensor:
        """Images whose sides are the next multiples of ``multiple``."""
        return resize_map(images, [tokens * self.patch_size for tokens in self.token_grid(images.shape[2:])])

    def token_grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Number of patches (h, w) of images of a size (H, W)."""
        height, width = (-(-side // self.multiple) * self.multiple // self.patch_size for side in size)
        return height, width

    def embed(self, images: Tensor, token_mask: Tensor | None = None) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Class token (N, 1, E) and patches (N, h * w, E) with their positions, and (h, w)."""
        height, width = (side // self.patch_size for side in images.shape[2:])
        with masked_patches(self.net.patch_embed, token_mask, self.mask_token):
            tokens = self.net.patch_embed(images) + self.positions((height, width))
        class_token = self.net.cls_token + self.net.pos_embed[:, :1]
        return class_token.expand(len(tokens), -1, -1), tokens, (height, width)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embedding of the patches (1, h * w, E); as DINOv2, with 0.1 added to the number of patches for the
        scale, which moves the sampled places a little."""
        side = math.isqrt(self.net.pos_embed.shape[1] - 1)
        positions = self.net.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        if grid != (side, side):
            factors = [(patches + 0.1) / side for patches in grid]
            positions = F.interpolate(positions, scale_factor=factors, mode='bicubic', align_corners=False)
        return positions.flatten(2).transpose(1, 2)

    @torch.no_grad()
    def select(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The transformer's tensors; a mask token among them is taken over."""
        if self.mask_token is not None and 'mask_token' in weights:
            self.mask_token.copy_(weights['mask_token'].view(1, -1))
        elif self.mask_token is not None:
            text = f"{self.name}: the mask token starts from 0. Set checkpoint to a file of DINOv2's authors with one"
            print_log(text, 'current', logging.WARNING)
        own = set(map(plain_key, self.net.state_dict()))
        return {key: value for key, value in weights.items() if key in own}


def resize_map(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Images or feature maps (N, C, H, W) in another size, bilinearly."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode='bilinear', align_corners=False)
