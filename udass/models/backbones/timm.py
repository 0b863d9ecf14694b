"""timm networks as backbones, with weights that are loaded completely or not at all.

Shapes: N images, H, W pixels; a stage's feature map is (N, C_i, H/r_i, W/r_i), r_i its reduction.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import timm
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.backbones.lora import add_lora, plain_key
from udass.models.checkpoints import load_strictly, local_file, read_weights


class TimmNetwork(BaseModule):
    """A network of timm as ``net``, whose weights come from a file or from timm's hub."""

    net: Any  # networks of timm have no common interface

    def __init__(
        self,
        name: str,
        checkpoint: str | None,
        pretrained: bool,
        options: dict,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        super().__init__()
        # Names with a colon are looked up elsewhere, for instance on a hub.
        if ':' not in name and not timm.is_model(name):
            close = difflib.get_close_matches(name, timm.list_models(), n=3)
            hint = f'. Did you mean {" or ".join(close)}?' if close else '; see timm.list_models()'
            raise ValueError(f'timm {timm.__version__} has no network {name!r}{hint}')
        self.name, self.checkpoint, self.pretrained = name, checkpoint, pretrained
        self.net = timm.create_model(name, pretrained=False, **options)
        if frozen:
            self.net.requires_grad_(False)
        if lora is not None:
            add_lora(self.net, **lora)

    def init_weights(self) -> None:
        """Load the checkpoint, or the hub's weights, or keep the random start if neither is wanted; FileNotFoundError,
        ConnectionError or ValueError if they are missing, cannot be read, or do not fill the network."""
        origin: str | Path = f'timm hub: {self.name}'
        if self.checkpoint is not None:
            origin = local_file(self.checkpoint)
            weights = read_weights(origin)
        elif self.pretrained:
            weights = fetch_weights(self.name)
        else:
            return
        weights = self.select(weights)
        own = self.net.state_dict()
        changes = {key: value for key, value in own.items() if plain_key(key) is None}
        layers = {plain: key for key in own if (plain := plain_key(key)) is not None}
        load_strictly(self.net, changes | {layers.get(key, key): value for key, value in weights.items()}, origin)
        print_log(f'{self.name}: all {len(weights)} tensors from {origin}', logger='current')

    def select(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Those of the whole network's weights that ``net`` has, under its names without LoRA."""
        raise NotImplementedError


@MODELS.register_module()
class TimmBackbone(TimmNetwork):
    """The feature maps of a timm network (``features_only``).

    Args:
        name: timm's name of the network, for instance ``tf_efficientnet_lite0``.
        out_indices: stages to return; ``channels`` and ``reductions`` say what they are.
        checkpoint: local file or URL of a state dict under timm's key names, ``.pth`` or ``.safetensors``; the
            classifier is left out.
        pretrained: without a checkpoint, fetch timm's weights from its hub.
        drop_path_rate: probability of dropping a residual branch in training.
        norm_eval: keep batch norm in evaluation mode in training, too: it normalises with the statistics of its
            weights, whatever the batch holds. Scales and shifts are trained. As in MMSegmentation's ResNet.
    """

    def __init__(
        self,
        name: str,
        out_indices: tuple[int, ...] | None = None,
        checkpoint: str | None = None,
        pretrained: bool = True,
        drop_path_rate: float = 0.0,
        norm_eval: bool = False,
    ) -> None:
        options = dict(features_only=True, out_indices=out_indices, drop_path_rate=drop_path_rate)
        super().__init__(name, checkpoint, pretrained, options)
        self.norm_eval = norm_eval
        info = self.net.feature_info
        self.channels, self.reductions = info.channels(), info.reduction()

    def train(self, mode: bool = True) -> 'TimmBackbone':
        """Switch to training or evaluation; see ``norm_eval``."""
        super().train(mode)
        if self.norm_eval:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        return self

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Feature maps of images (N, 3, H, W), finest first."""
        return self.net(inputs)

    def select(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The backbone's tensors, without those of the classifier."""
        # timm's feature networks write the number of a stage into its name: stages_0.x for stages.0.x of the network.
        plain = {key: re.sub(r'^([a-z]+)_(\d+)\.', r'\1.\2.', key) for key in self.net.state_dict()}
        found = {key: key if key in weights else name for key, name in plain.items()}
        return {key: weights[name] for key, name in found.items() if name in weights}


@MODELS.register_module()
class TimmViT(TimmNetwork):
    """Token maps of several blocks of a plain ViT (DINOv2, DINOv3, ...), all (N, E, ceil(H/s), ceil(W/s)), E channels.

    A neck makes levels of them. Images are resized to whole patches, ceil(H/s) by ceil(W/s) of them, so that a token is
    always s pixels and the map covers the image exactly. With patches of 14 pixels and s = 16 the transformer sees 448
    pixels of 512.

    Args:
        name: timm's name of the network, for instance ``vit_base_patch14_reg4_dinov2``.
        out_indices: blocks whose normalised tokens are returned.
        stride: s, pixels of the image per token.
        checkpoint: local file or URL of weights under timm's names or those of their authors (``.pth`` or
            ``.safetensors``); the classifier is left out.
        pretrained: without a checkpoint, fetch timm's weights from its hub.
        drop_path_rate: probability of dropping a residual branch in training.
        with_cp: recompute the activations of each block in the backward pass, to save memory.
        mask_token: learn a token that takes the place of masked patches; see `forward`.
        frozen: do not train the ViT. Its weights are one copy for the student, its teacher and the ImageNet network.
        lora: arguments of `add_lora`, such as ``dict(rank=16, alpha=16)``: the ViT is frozen, and changes of low rank
            of some of its layers are trained.
    """

    def __init__(
        self,
        name: str,
        out_indices: Sequence[int] = (2, 5, 8, 11),
        stride: int = 16,
        checkpoint: str | None = None,
        pretrained: bool = True,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        mask_token: bool = False,
        frozen: bool = False,
        lora: dict | None = None,
    ) -> None:
        options = dict(num_classes=0, global_pool='', dynamic_img_size=True, drop_path_rate=drop_path_rate)
        super().__init__(name, checkpoint, pretrained, options, frozen, lora)
        self.out_indices, self.stride = list(out_indices), stride
        self.patch_size = self.net.patch_embed.patch_size
        self.channels = [self.net.embed_dim] * len(self.out_indices)
        self.net.set_grad_checkpointing(with_cp)
        self.mask_token = nn.Parameter(torch.zeros(1, self.net.embed_dim)) if mask_token else None

    def forward(self, inputs: Tensor, token_mask: Tensor | None = None) -> list[Tensor]:
        """Tokens of images (N, 3, H, W) after each of ``out_indices``; the mask token replaces the h x w patches of the
        network where ``token_mask`` (N, h, w) bool is True."""
        grid = self.token_grid(inputs.shape[2:])
        size = [tokens * patch for tokens, patch in zip(grid, self.patch_size, strict=True)]
        if tuple(size) != tuple(inputs.shape[2:]):
            inputs = resize(inputs, size=size, mode='bilinear', align_corners=False)
        with masked_patches(self.net.patch_embed, token_mask, self.mask_token):
            return self.net.forward_intermediates(
                inputs, indices=self.out_indices, norm=True, output_fmt='NCHW', intermediates_only=True
            )

    def token_grid(self, size: Sequence[int]) -> tuple[int, int]:
        """Number of patches (h, w) of images of a size (H, W)."""
        return -(-size[0] // self.stride), -(-size[1] // self.stride)

    @torch.no_grad()
    def select(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The transformer's tensors without the classifier; positions are resized to its grid."""
        # timm translates the authors' names: each file of models has a filter for them.
        adapt = getattr(import_module(type(self.net).__module__), 'checkpoint_filter_fn', None)
        weights = weights if adapt is None else adapt(weights, self.net)
        return {key: value for key, value in weights.items() if not key.startswith(('head.', 'fc_norm.'))}


@contextmanager
def masked_patches(patch_embed: nn.Module, mask: Tensor | None, mask_token: Tensor | None) -> Iterator[None]:
    """While the context lasts, the embedding of each masked patch is the mask token (1, E); the mask is (N, h, w) bool,
    None masks nothing. ValueError if there is a mask but no token."""
    if mask is None:
        yield
        return
    if mask_token is None:
        raise ValueError('tokens can only be masked by a backbone with a mask token: set mask_token=True')

    def replace(module: nn.Module, inputs: tuple, patches: Tensor) -> Tensor:
        return torch.where(mask.reshape(*patches.shape[:-1], 1), mask_token.to(patches.dtype), patches)

    handle = patch_embed.register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


def fetch_weights(name: str) -> dict[str, Tensor]:
    """The state dict of timm's published weights."""
    try:
        return timm.create_model(name, pretrained=True, features_only=False).state_dict()
    except Exception as error:  # timm's hub raises errors of several libraries
        if 'dinov3' in name:
            raise ConnectionError(
                f'the weights of {name} could not be fetched ({type(error).__name__}: {error}). They are under the '
                'DINOv3 License of Meta and are given to those who accept it: do so at '
                'https://huggingface.co/collections/timm or https://github.com/facebookresearch/dinov3, log in with '
                '`hf auth login`, or fetch the file and set `checkpoint` of the backbone to it'
            ) from error
        raise ConnectionError(
            f"the weights of {name} could not be fetched from timm's hub ({type(error).__name__}: {error}). Without a "
            f'connection, fetch them elsewhere with `timm.create_model("{name}", pretrained=True).state_dict()`, save '
            'that with torch.save, and set `checkpoint` of the backbone (or the environment variable UDASS_WEIGHTS in '
            'the CamVid configs) to the file'
        ) from error
