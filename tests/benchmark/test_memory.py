"""Peak memory on the CPU."""

import pytest
import torch

from udass.benchmark.memory import peak_memory

CPU = torch.device('cpu')
BYTES = 4 * 2**20


def tensor():
    return torch.zeros(BYTES // 4)


def both():
    first, second = tensor(), tensor()
    return first.sum() + second.sum()


def one_after_the_other():
    return tensor().sum() + tensor().sum()


def kept():
    return [tensor(), tensor()]


def test_tensors_count_that_are_there_at_once():
    assert peak_memory(both, CPU) == pytest.approx(2 * BYTES, rel=0.02)
    assert peak_memory(one_after_the_other, CPU) == pytest.approx(BYTES, rel=0.02)


def test_what_is_returned_does_not_count_in_the_next_measurement():
    outside = []
    for _ in range(2):
        assert peak_memory(kept, CPU) == pytest.approx(2 * BYTES, rel=0.02)
        # Lives on after the measurement, and is freed where nobody looks.
        assert peak_memory(lambda: outside.append(tensor()), CPU) == pytest.approx(BYTES, rel=0.02)
        outside.clear()
    assert peak_memory(one_after_the_other, CPU) == pytest.approx(BYTES, rel=0.02)


def test_what_was_there_before_does_not_count():
    before = tensor()
    assert peak_memory(lambda: before.add_(1), CPU) < 0.02 * BYTES
    assert peak_memory(lambda: None, CPU) == 0


def test_a_network_counts_its_graph_and_its_gradients():
    def run(grad):
        layer = torch.nn.Linear(1024, 1024, bias=False)
        output = layer(torch.ones(1, 1024, requires_grad=grad))
        if grad:
            output.sum().backward()

    assert peak_memory(lambda: run(False), CPU) == pytest.approx(BYTES, rel=0.05)
    assert peak_memory(lambda: run(True), CPU) == pytest.approx(2 * BYTES, rel=0.05)
