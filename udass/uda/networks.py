"""Build the networks of an adapter, load their weights from a checkpoint of any method, and call them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.model import is_model_wrapper
from mmseg.models import BaseSegmentor
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.models.checkpoints import load_strictly
from udass.models.losses.pixel_weight import weigh_heads
from udass.models.segmentors import FlowGuidedEncoderDecoder

# The segmentors of an adapter, and the prefixes of their keys in checkpoints.
NETWORKS = ('student', 'teacher', 'imagenet')


def build_network(config: Mapping) -> BaseSegmentor:
    """Build a segmentor of mmseg or this project for the training step: heads of mmseg get the pixel-weighted loss, and
    mmseg's ``SegDataPreProcessor`` becomes a `PixelPreprocessor`."""
    # Segmentors of mmseg write into their config (``pretrained``), and several networks are built from one.
    config = ConfigDict(deepcopy(dict(config)))
    preprocessor = config.get('data_preprocessor')
    if isinstance(preprocessor, dict) and preprocessor.get('type') == 'SegDataPreProcessor':
        preprocessor['type'] = 'PixelPreprocessor'
    try:
        network = MODELS.build(config)
    except (ImportError, AssertionError, AttributeError, IndexError, RuntimeError, TypeError) as error:
        if isinstance(error, TypeError) and 'missing' not in str(error):
            # An argument that a component does not take: `explain_type_error` names its key.
            raise
        raise ValueError(
            f'the network ({config.get("type")}) cannot be built: {type(error).__name__}: '
            f'{str(error) or "an assertion of its code"}'
        ) from error
    weigh_heads(network)
    return network


def share_frozen(student: nn.Module, network: nn.Module) -> None:
    """Give a network of the student's config the student's frozen parameters themselves: one copy in memory. Batch
    norm, whose parameters are few, keeps its own: the published CNN of video freezes them alone."""
    modules = dict(student.named_modules())
    for name, module in network.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            continue
        for key, value in modules[name].named_parameters(recurse=False):
            if not value.requires_grad:
                setattr(module, key, value)


def build_component(config: Mapping | None, **default_args: object) -> Any:
    """Build a component of an adapter from its config, None from None."""
    return None if config is None else MODELS.build(config, default_args=default_args)


def split_networks(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Weights of each network, without prefix; those of a single segmentor are the student's. Others are dropped."""
    if not any(key.startswith(f'{name}.') for key in weights for name in NETWORKS):
        return {'student': dict(weights)}
    found: dict[str, dict[str, Tensor]] = {}
    for key, value in weights.items():
        name, _, rest = key.partition('.')
        if name in NETWORKS:
            found.setdefault(name, {})[rest] = value
    return found


def load_networks(
    networks: Mapping[str, nn.Module | None],
    weights: Mapping[str, Tensor],
    origin: str | Path,
    skip: Sequence[str] = (),
) -> list[str]:
    """Load the networks of an adapter, each completely or not at all; returns the names of those that the file has.

    A missing teacher starts as the file's student; a missing ImageNet network keeps its weights.

    Args:
        networks: by name, None for one that the method does not have.
        weights: state dict of an adapter (keys ``student.``, ``teacher.``, ``imagenet.``), or of one segmentor.
        origin: where they come from, for the message.
        skip: modules or tensors of a network that keep their start weights, for instance ``decode_head.conv_seg``.
    """
    found = split_networks(weights)
    if 'student' not in found:
        raise ValueError(f'{origin} holds no student (no key student.*): it has {", ".join(found)}. Give another file')
    student = networks['student'].state_dict()
    unknown = [name for name in skip if not any(_belongs(key, [name]) for key in student)]
    if unknown:
        raise ValueError(
            f'load_from.skip names {", ".join(unknown)}, which the student does not have; it has for '
            f'example {", ".join(list(student)[-4:])}'
        )
    shared: list[nn.Parameter] = []
    for name, network in networks.items():
        own = found.get(name, found['student'] if name == 'teacher' else None)
        if network is not None and own is not None:
            # What it shares with the student is loaded already.
            ready = [*skip, *(key for key, value in network.named_parameters() if any(value is one for one in shared))]
            start = {key: value for key, value in network.state_dict().items() if _belongs(key, ready)}
            taken = {key: value for key, value in own.items() if not _belongs(key, ready)}
            shared += network.parameters()
            load_strictly(network, {**taken, **start}, f'{name} of {origin}')
    return [name for name, network in networks.items() if network is not None and name in found]


def _belongs(key: str, names: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f'{name}.') for name in names)


def without_decoder(segmentor: nn.Module) -> nn.Module:
    """The segmentor as a frozen extractor of features."""
    for name in ('decode_head', 'auxiliary_head'):
        setattr(segmentor, name, None)
    return segmentor.requires_grad_(False).eval()


def unwrap(module: nn.Module) -> Any:
    """The module itself, without DDP around it."""
    return module.module if is_model_wrapper(module) else module


def model_inputs(network: nn.Module, frames: Tensor, flow: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
    """Input and keyword arguments of a network for clips (N, T, 3, H, W): frames and flow (N, T-1, 2, H, W) if it uses
    flow and there is one, else frame 0 (N, 3, H, W)."""
    if flow is None or not isinstance(network, FlowGuidedEncoderDecoder):
        return frames[:, 0], {}
    return frames, {'flow': flow}


@contextmanager
def frozen_running_statistics(network: nn.Module) -> Iterator[None]:
    """Within the context, batch norm in training mode uses the statistics of its batch without adding them to the
    running ones, which evaluation uses."""
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
    tracking = [norm for norm in norms if norm.track_running_stats]
    for norm in tracking:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in tracking:
            norm.track_running_stats = True
