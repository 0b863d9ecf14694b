"""Plain vision transformers of timm (DINOv2, DINOv3, ...) as backbones of one scale.

Shapes: N images, H, W pixels, E channels of the transformer, s the stride of the features.
"""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import timm
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmseg.models.utils import resize
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.backbones.timm import check_name, fetch_weights
from udass.models.checkpoints import load_strictly, local_file, read_checkpoint, weights_of


@MODELS.register_module()
class TimmViT(BaseModule):
    """Token maps of several blocks of a plain ViT, all (N, E, ceil(H/s), ceil(W/s)); a neck makes levels of them.

    Images are resized to whole patches, ceil(H/s) by ceil(W/s) of them, so that a token is always s pixels and the map
    covers the image exactly. With patches of 14 pixels and s = 16 the transformer sees 448 pixels of 512.

    Args:
        name: timm's name of the network, for instance ``vit_base_patch14_reg4_dinov2``.
        out_indices: blocks whose normalised tokens are returned.
        stride: s, pixels of the image per token.
        checkpoint: local file or URL of weights under timm's names or those of their authors (``.pth`` or
            ``.safetensors``); the classifier is left out.
        pretrained: without a checkpoint, fetch timm's weights from its hub.
        drop_path_rate: probability of dropping a residual branch in training.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: timm has no such network, or the file does not fill it.
    """

    def __init__(
        self,
        name: str,
        out_indices: Sequence[int] = (2, 5, 8, 11),
        stride: int = 16,
        checkpoint: str | None = None,
        pretrained: bool = True,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = name
        self.out_indices = list(out_indices)
        self.stride = stride
        self.checkpoint = checkpoint
        self.pretrained = pretrained
        check_name(name)
        self.net = timm.create_model(
            name, pretrained=False, num_classes=0, global_pool='', dynamic_img_size=True, drop_path_rate=drop_path_rate
        )
        self.patch_size = self.net.patch_embed.patch_size
        self.channels = [self.net.embed_dim] * len(self.out_indices)

    def init_weights(self) -> None:
        """Load the checkpoint, or the hub's weights, or keep the random start if neither is asked for."""
        if self.checkpoint is not None:
            path = local_file(self.checkpoint)
            self._load(read_weights(path, self.net), path)
        elif self.pretrained:
            self._load(fetch_weights(self.name), f'timm hub: {self.name}')

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Tokens of images (N, 3, H, W) after each of ``out_indices``."""
        size = [-(-side // self.stride) * patch for side, patch in zip(inputs.shape[2:], self.patch_size, strict=True)]
        if tuple(size) != tuple(inputs.shape[2:]):
            inputs = resize(inputs, size=size, mode='bilinear', align_corners=False)
        return self.net.forward_intermediates(
            inputs, indices=self.out_indices, norm=True, output_fmt='NCHW', intermediates_only=True
        )

    def _load(self, weights: dict[str, Tensor], origin: str | Path) -> None:
        kept = {key: value for key, value in weights.items() if not key.startswith(('head.', 'fc_norm.'))}
        load_strictly(self.net, kept, origin)
        print_log(f'{self.name}: all {len(kept)} tensors from {origin}', logger='current')


def read_weights(path: Path, net: nn.Module) -> dict[str, Tensor]:
    """Weights of a file under the names that timm gives them in ``net``; positions are resized to its grid."""
    if path.suffix == '.safetensors':
        from safetensors.torch import load_file

        weights = load_file(path)
    else:
        weights = weights_of(read_checkpoint(path), path)
    # timm knows its authors' names: each file of models has a filter for them.
    adapt = getattr(import_module(type(net).__module__), 'checkpoint_filter_fn', None)
    with torch.no_grad():
        return weights if adapt is None else adapt(weights, net)
