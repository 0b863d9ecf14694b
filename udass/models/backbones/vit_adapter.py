"""ViT-Adapter: a pyramid of features from a plain vision transformer.

Shapes: N images, H, W pixels of the inner image, E channels of the transformer; ``tokens`` are its patches
(N, h * w, E), ``pyramid`` the pixels at 1/8, 1/16 and 1/32 one after the other (N, V, E).
Sources: Chen et al. 2023 (arXiv 2205.08534), in the variant that VFM-UDA++ trains (Englert and Dubbelman 2025,
arXiv 2503.10685; tue-mps/vfm-uda-plusplus).
"""

import math
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from mmengine.model.weight_init import trunc_normal_
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from udass.models.backbones.deformable_attention import DeformableAttention, Size, cell_centres
from udass.models.backbones.dinov2 import DINOv2, resize_map

# Levels of the pyramid, as reductions of the inner image.
_STRIDES = (8, 16, 32)


@MODELS.register_module()
class ViTAdapter(DINOv2):
    """Feature maps (N, E, H/r, W/r), r = 4, 8, 16, 32, of a DINOv2 transformer with an adapter around it.

    A convolutional branch sees details. Its features and the tokens of the transformer exchange what they know by
    deformable attention before and after each of four groups of blocks. Images are resized to the next multiple of 32
    and of the patch size (1024 to 1120 with patches of 14 pixels).

    Args:
        name: timm's name of a ViT without registers whose depth is a multiple of four.
        checkpoint: local file or URL of the transformer's weights; the adapter starts from nothing.
        pretrained: without a checkpoint, fetch timm's weights from its hub.
        norm_cfg: of the convolutional branch and the outputs. Several processes want ``SyncBN``.
        with_cp: recompute the activations of blocks and exchanges in the backward pass, to save memory.
        frozen, lora: as of `TimmViT`; the adapter is trained.

    Raises:
        ValueError: timm has no such network, it has other tokens than the class token before the patches, or its depth
            is no multiple of four.
    """

    def __init__(
        self,
        name: str = 'vit_base_patch14_dinov2.lvd142m',
        checkpoint: str | None = None,
        pretrained: bool = True,
        norm_cfg: dict | None = None,
        with_cp: bool = False,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        super().__init__(name, checkpoint, pretrained, with_cp=with_cp, frozen=frozen, lora=lora)
        self.multiple = math.lcm(32, self.patch_size)
        depth, channels = len(self.net.blocks), self.net.embed_dim
        if depth % 4:
            raise ValueError(f'ViTAdapter takes a ViT with 4, 8, 12, ... blocks; {name} has {depth}')
        # The features are those of the blocks; an unused norm would be a parameter without gradient.
        self.net.norm = nn.Identity()
        norm_cfg = norm_cfg or dict(type='BN', momentum=0.01)
        self.channels = [channels] * 4
        self.level_embed = nn.Parameter(torch.empty(3, channels))
        self.spm = SpatialPrior(channels, norm_cfg)
        self.interactions = nn.ModuleList(Interaction(channels, extra_extractors=2 * (i == 3)) for i in range(4))
        self.up = nn.ConvTranspose2d(channels, channels, 2, 2)
        for level in range(1, 5):
            self.add_module(f'norm{level}', build_norm_layer(norm_cfg, channels)[1])
        for part in (self.spm, self.interactions, self.up):
            part.apply(_reset)
        for module in self.interactions.modules():
            if isinstance(module, DeformableAttention):
                module.init_weights()
        nn.init.normal_(self.level_embed)

    def forward(self, inputs: Tensor, token_mask: Tensor | None = None) -> list[Tensor]:
        """Feature maps of images (N, 3, h, w), finest first; see `DINOv2.forward` for the mask."""
        images = self.resize(inputs)
        class_token, tokens, grid = self.embed(images, token_mask)
        sizes = [tuple(side // stride for side in images.shape[2:]) for stride in _STRIDES]
        finest, *levels = self.spm(images)
        levels = [level.flatten(2).transpose(1, 2) + self.level_embed[number] for number, level in enumerate(levels)]
        pyramid = torch.cat(levels, dim=1)
        maps = []
        depth = len(self.net.blocks) // 4
        for number, interaction in enumerate(self.interactions):
            blocks = self.net.blocks[number * depth : (number + 1) * depth]
            arguments = (class_token, tokens, pyramid)
            run = partial(interaction, blocks=blocks, grid=grid, sizes=sizes)
            if self.grad_checkpointing and self.training:
                class_token, tokens, pyramid = checkpoint(run, *arguments, use_reentrant=False)
            else:
                class_token, tokens, pyramid = run(*arguments)
            maps.append(tokens.transpose(1, 2).unflatten(2, grid))
        parts = pyramid.split([height * width for height, width in sizes], dim=1)
        levels = [part.transpose(1, 2).unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]
        levels = [self.up(levels[0]) + finest, *levels]
        return [
            getattr(self, f'norm{number}')(level + resize_map(tokens_map, level.shape[2:]))
            for number, (level, tokens_map) in enumerate(zip(levels, maps, strict=True), start=1)
        ]


class SpatialPrior(nn.Module):
    """Convolutional features of images: maps (N, E, H/r, W/r), r = 4, 8, 16, 32; a norm follows each convolution."""

    def __init__(self, channels: int, norm_cfg: dict) -> None:
        super().__init__()

        def layers(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
            return [convolution, build_norm_layer(norm_cfg, outputs)[1], nn.ReLU(inplace=True)]

        pool = nn.MaxPool2d(3, 2, padding=1)
        self.stem = nn.Sequential(*layers(3, 64, 2), *layers(64, 64, 1), *layers(64, 64, 1), pool)
        self.conv2 = nn.Sequential(*layers(64, 128, 2))
        self.conv3 = nn.Sequential(*layers(128, 256, 2))
        self.conv4 = nn.Sequential(*layers(256, 256, 2))
        self.fc1, self.fc2 = nn.Conv2d(64, channels, 1), nn.Conv2d(128, channels, 1)
        self.fc3, self.fc4 = nn.Conv2d(256, channels, 1), nn.Conv2d(256, channels, 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [self.stem(images)]
        for stage in (self.conv2, self.conv3, self.conv4):
            maps.append(stage(maps[-1]))
        return [layer(level) for layer, level in zip((self.fc1, self.fc2, self.fc3, self.fc4), maps, strict=True)]


class Interaction(nn.Module):
    """One group of blocks between an injector (pyramid into tokens) and one extractor or more (tokens into pyramid)."""

    def __init__(self, channels: int, extra_extractors: int = 0) -> None:
        super().__init__()
        self.injector = Injector(channels)
        self.extractor = Extractor(channels)
        self.extra_extractors = nn.ModuleList(Extractor(channels) for _ in range(extra_extractors))

    def forward(
        self, class_token: Tensor, tokens: Tensor, pyramid: Tensor, blocks: nn.Module, grid: Size, sizes: Sequence[Size]
    ) -> tuple[Tensor, Tensor, Tensor]:
        tokens = self.injector(tokens, pyramid, grid, sizes)
        class_token, tokens = blocks(torch.cat([class_token, tokens], dim=1)).split([1, tokens.shape[1]], dim=1)
        for extractor in (self.extractor, *self.extra_extractors):
            pyramid = extractor(pyramid, tokens, grid, sizes)
        return class_token, tokens, pyramid


class Injector(nn.Module):
    """Adds what each token finds in the pyramid, times a learned factor that starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_norm, self.feat_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn = DeformableAttention(channels, levels=len(_STRIDES), heads=channels // 64)
        self.gamma = nn.Parameter(torch.zeros(channels))

    def forward(self, tokens: Tensor, pyramid: Tensor, grid: Size, sizes: Sequence[Size]) -> Tensor:
        reference = cell_centres([grid], tokens)
        return tokens + self.gamma * self.attn(self.query_norm(tokens), reference, self.feat_norm(pyramid), sizes)


class Extractor(nn.Module):
    """Adds to each pixel of the pyramid what it finds in the tokens, then a convolutional feed-forward layer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query_norm, self.feat_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attn = DeformableAttention(channels, levels=1, heads=channels // 64)
        self.ffn = ConvFFN(channels, channels // 4)
        self.ffn_norm = nn.LayerNorm(channels)

    def forward(self, pyramid: Tensor, tokens: Tensor, grid: Size, sizes: Sequence[Size]) -> Tensor:
        reference = cell_centres(sizes, pyramid)
        pyramid = pyramid + self.attn(self.query_norm(pyramid), reference, self.feat_norm(tokens), [grid])
        return pyramid + self.ffn(self.ffn_norm(pyramid), sizes)


class ConvFFN(nn.Module):
    """A feed-forward layer with a depth-wise 3x3 convolution on each level of the pyramid."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.dwconv = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)

    def forward(self, pyramid: Tensor, sizes: Sequence[Size]) -> Tensor:
        levels = self.fc1(pyramid).split([height * width for height, width in sizes], dim=1)
        maps = [level.transpose(1, 2).unflatten(2, size) for level, size in zip(levels, sizes, strict=True)]
        joined = torch.cat([self.dwconv(part).flatten(2).transpose(1, 2) for part in maps], dim=1)
        return self.fc2(F.gelu(joined))


def _reset(module: nn.Module) -> None:
    """Start weights of the adapter: truncated normal for linear layers, fan-out normal for convolutions."""
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
