"""MiT's attention and drop-path against those of torch and mmcv, which take more operations."""

import pytest
import torch
from torch import nn

from udass.models.backbones.mit import MiT, _Attention


@pytest.mark.parametrize('tokens', [12, 3])
def test_attention_equals_torchs_with_the_same_parameters(tokens):
    torch.manual_seed(0)
    ours, theirs = _Attention(8, 2).double(), nn.MultiheadAttention(8, 2).double()
    theirs.load_state_dict(ours.state_dict())
    query, key = torch.randn(12, 3, 8, dtype=torch.float64), torch.randn(tokens, 3, 8, dtype=torch.float64)
    results = []
    for layer in (ours, theirs):
        inputs = [query.clone().requires_grad_(), key.clone().requires_grad_()]
        output = layer(inputs[0], inputs[1], inputs[1])[0]
        output.square().sum().backward()
        gradients = [parameter.grad for parameter in (*inputs, *layer.parameters())]
        results.append([output, *gradients])
    torch.testing.assert_close(*results)


def test_branches_are_dropped_per_image_in_training_only():
    """The last block drops with the given probability; what stays is divided by the probability of staying."""
    drop = MiT('b0', drop_path_rate=0.25).layers[3][1][1].ffn.dropout_layer
    ones = torch.ones(4000, 2, 3)
    assert torch.equal(drop.eval()(ones), ones)
    torch.manual_seed(0)
    dropped = drop.train()(ones)
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75]) and abs(dropped.mean() - 1) < 0.03
