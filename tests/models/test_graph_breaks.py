"""``torch.compile`` sees each backbone and decoder as one graph."""

import pytest
import torch

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
