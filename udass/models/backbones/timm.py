"""timm networks as backbones, with weights that are loaded completely or not at all.

Shapes: a stage's feature map is (N, C_i, H/r_i, W/r_i), r_i its reduction.
"""

import difflib
import re
from pathlib import Path

import timm
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmseg.registry import MODELS
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from udass.models.checkpoints import read_checkpoint, weights_of


@MODELS.register_module()
class TimmBackbone(BaseModule):
    """The feature maps of a timm network (``features_only``).

    Args:
        name: timm's name of the network, for instance ``tf_efficientnet_lite0``.
        out_indices: stages to return; ``channels`` and ``reductions`` say what they are.
        checkpoint: local weight file, a state dict under timm's key names, ``.pth`` or ``.safetensors``; keys that the
            feature maps do not need (the classifier) are left out.
        pretrained: without a local file, fetch timm's weights from its hub (needs a network connection, once).
        drop_path_rate: probability of dropping a residual branch in training.

    Raises:
        FileNotFoundError: the local file is missing.
        ValueError: timm has no such network, the file cannot be read, or a backbone key is missing in it or has another
            shape.
        ConnectionError: the hub cannot be reached.
    """

    def __init__(
        self,
        name: str,
        out_indices: tuple[int, ...] | None = None,
        checkpoint: str | None = None,
        pretrained: bool = True,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = name
        self.checkpoint = checkpoint
        self.pretrained = pretrained
        check_name(name)
        self.net = timm.create_model(
            name, features_only=True, pretrained=False, out_indices=out_indices, drop_path_rate=drop_path_rate
        )
        self.channels = self.net.feature_info.channels()
        self.reductions = self.net.feature_info.reduction()

    def init_weights(self) -> None:
        """Load the local file, or the hub's weights, or keep the random start if neither is asked for."""
        if self.checkpoint is not None:
            self._load(read_weights(self.checkpoint), self.checkpoint)
        elif self.pretrained:
            self._load(fetch_weights(self.name), f'timm hub: {self.name}')

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Feature maps of images (N, 3, H, W), finest first."""
        return self.net(inputs)

    def _load(self, weights: dict[str, Tensor], origin: str) -> None:
        own = self.net.state_dict()
        # timm's feature networks write the number of a stage into its name: stages_0.x for stages.0.x of the network.
        plain = {key: re.sub(r'^([a-z]+)_(\d+)\.', r'\1.\2.', key) for key in own}
        weights = {**{key: weights[name] for key, name in plain.items() if name in weights}, **weights}
        missing = sorted(key for key in own if key not in weights)
        misshapen = sorted(key for key in own if key in weights and own[key].shape != weights[key].shape)
        if missing or misshapen:
            problems = [f'missing {key} {tuple(own[key].shape)}' for key in missing]
            problems += [f'{key} is {tuple(weights[key].shape)}, not {tuple(own[key].shape)}' for key in misshapen]
            raise ValueError(
                f'{origin} does not fill the backbone {self.name}: {len(problems)} of {len(own)} keys, '
                f'{"; ".join(problems)}. Use a file of this network under the key names of timm.'
            )
        unused = sorted(set(weights) - set(own) - set(plain.values()))
        self.net.load_state_dict({key: weights[key] for key in own})
        print_log(f'Loaded {len(own)} backbone tensors from {origin}; not used: {unused or "none"}', logger='current')


def check_name(name: str) -> None:
    """Raises ValueError if timm has no network of this name."""
    # Names with a colon are looked up elsewhere, for instance on a hub.
    if ':' not in name and not timm.is_model(name):
        close = difflib.get_close_matches(name, timm.list_models(), n=3)
        raise ValueError(
            f'timm {timm.__version__} has no network {name!r}'
            + (f'. Did you mean {" or ".join(close)}?' if close else '; see timm.list_models()')
        )


def read_weights(path: str) -> dict[str, Tensor]:
    """A state dict from a local file, read without executing anything in it."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'backbone weights {path} do not exist; set `checkpoint` of the backbone to a local '
            'file, or to None to let timm fetch its own'
        )
    try:
        return load_file(path) if path.endswith('.safetensors') else weights_of(read_checkpoint(path), path)
    except (ValueError, SafetensorError) as error:
        raise ValueError(
            f'{path} cannot be read as a weight file: {error}. It is damaged, or holds more than tensors: '
            'fetch it again, or save its state dict with torch.save'
        ) from error


def fetch_weights(name: str) -> dict[str, Tensor]:
    """The state dict of timm's published weights."""
    try:
        return timm.create_model(name, pretrained=True, features_only=False).state_dict()
    except Exception as error:  # timm's hub raises errors of several libraries
        raise ConnectionError(
            f"the weights of {name} could not be fetched from timm's hub ({type(error).__name__}: {error}). Without a "
            f'connection, fetch them elsewhere with `timm.create_model("{name}", pretrained=True).state_dict()`, save '
            'that with torch.save, and set `checkpoint` of the backbone (or the environment variable UDASS_WEIGHTS in '
            'the CamVid configs) to the file'
        ) from error
