"""``torch.compile`` sees each backbone and decoder as one graph, and nothing in it is drawn on the host."""

import random

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.models.small import daformer_head, hrda, plain
from udass.models.backbones import TimmViT


def mit_and_daformer():
    network = plain(
        backbone=dict(type='MiT', variant='b0', drop_path_rate=0.1),
        decode_head=daformer_head() | dict(dropout_ratio=0.1),
    )
    return network.train()


def parts():
    network, head = mit_and_daformer(), hrda().train().decode_head
    images = torch.rand(2, 3, 64, 64)
    features = network.backbone(images)
    vit = TimmViT('test_vit', out_indices=(5,), pretrained=False, drop_path_rate=0.1).train()
    return {
        'MiT': (network.backbone, images),
        'DAFormerHead': (network.decode_head, features),
        'HRDAHead': (head, features),
        'scale attention': (head.attention, features),
        'ViT': (vit, images),
    }


@pytest.mark.slow
def test_backbones_and_decoders_have_no_graph_breaks():
    for name, (function, inputs) in parts().items():
        found = torch._dynamo.explain(function)(inputs)
        assert (found.graph_count, found.graph_break_count) == (1, 0), (name, found.break_reasons)
        torch._dynamo.reset()


class HostTensors(TorchDispatchMode):
    """Notes every operation that makes a tensor of the host."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if any(isinstance(leaf, torch.Tensor) and leaf.device.type == 'cpu' for leaf in tree_leaves(result)):
            self.made.append(function.overloadpacket.__name__)
        return result


@pytest.mark.slow
def test_backbones_and_decoders_draw_nothing_on_the_host():
    """A value of the host would be a constant of a captured CUDA graph. Dropout and drop-path draw on the device."""
    for name, (function, inputs) in parts().items():
        # The module of a method.
        getattr(function, '__self__', function).to('meta')
        inputs = tree_map(lambda tensor: tensor.detach().to('meta').requires_grad_(), inputs)
        states = random.getstate(), torch.get_rng_state().tolist()
        with HostTensors() as host:
            outputs = function(inputs)
            sum(output.sum() for output in tree_leaves(outputs)).backward()
        assert host.made == [], name
        assert (random.getstate(), torch.get_rng_state().tolist()) == states, name
