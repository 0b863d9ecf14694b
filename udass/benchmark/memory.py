"""Memory of a training, computed with fake tensors: nothing is allocated and nothing computed.

A fake tensor has a shape and a type, but no content, so that a network of any size runs on any machine.
"""

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from udass.engine.optim import checkpoint_without_reentry
from udass.models.segmentors import FlowGuidedEncoderDecoder, HRDAEncoderDecoder
from udass.uda.networks import build_network

_FLOAT32 = 4


def training_memory(config: Mapping, batch: int, size: tuple[int, int]) -> dict:
    """Bytes of what a training with a teacher holds on the device, for a config of a segmentor.

    Args:
        config: of the student.
        batch: images of a pass; for a two-frame network clips of two frames with their flow.
        size: (H, W) of the images.

    Returns:
        ``parameters``, ``trained`` (numbers); ``states`` (bytes of weights, gradients, Adam's moments and the teacher,
        which shares what is frozen); and bytes that one labelled pass keeps for its backward pass, in ``float32`` and
        ``bf16``, and as ``float32_with_cp`` and ``bf16_with_cp`` with a backbone that recomputes its activations. The
        operations in bf16 are those of torch's autocast on the CPU.
    """
    found: dict = {}
    for with_cp in (False, True):
        settings = Config(dict(config))
        settings.backbone.with_cp = with_cp
        for key in ('init_cfg', 'pretrained', 'checkpoint'):
            if key in settings.backbone:
                settings.backbone[key] = None
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        network = build_network(settings).train()
        with mode:
            network.to_empty(device='cpu')
        checkpoint_without_reentry(network)
        if not with_cp:
            found |= _states(network)
        for name, dtype in (('float32', None), ('bf16', torch.bfloat16)):
            found[name + '_with_cp' * with_cp] = _saved(network, mode, batch, size, dtype)
    return found


def _states(network: nn.Module) -> dict:
    number = sum(value.numel() for value in network.parameters())
    trained = sum(value.numel() for value in network.parameters() if value.requires_grad)
    # Weights; gradients, two moments and the teacher's copy of what is trained.
    return {'parameters': number, 'trained': trained, 'states': _FLOAT32 * (number + 4 * trained)}


def _saved(
    network: nn.Module, mode: FakeTensorMode, batch: int, size: tuple[int, int], dtype: torch.dtype | None
) -> int:
    """Bytes of the tensors that autograd keeps after the forward pass and the loss, weights left out."""
    options: dict = {}
    if isinstance(network, HRDAEncoderDecoder):
        options['crop_box'] = network.draw_crop_box(size, torch.Generator())
    weights = {value.untyped_storage()._cdata for value in (*network.parameters(), *network.buffers())}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    precision = nullcontext() if dtype is None else torch.autocast('cpu', dtype)
    with mode, precision, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        images = torch.empty(batch, 3, *size)
        if isinstance(network, FlowGuidedEncoderDecoder):
            images, options['flow'] = torch.empty(batch, 2, 3, *size), torch.empty(batch, 1, 2, *size)
        samples = [SegDataSample(gt_sem_seg=PixelData(data=torch.empty(1, *size, dtype=torch.long))) for _ in images]
        losses = network(images, samples, mode='loss', **options)
    del losses
    return sum(storage.nbytes() for storage in kept.values())
