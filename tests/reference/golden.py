"""Access to a directory of golden files: expected numbers, and the formulas that regenerate weights and inputs."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from udass.models.checkpoints import to_reference


class Golden:
    """A directory of golden files; ``tag`` goes into the names of regenerated tensors."""

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.tag = json.loads((self.directory / 'meta.json').read_text())['tag']
        spec = importlib.util.spec_from_file_location('golden_formula', self.directory / 'formula.py')
        self.formula = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.formula)

    def load(self, name: str) -> dict[str, np.ndarray]:
        """All arrays of one golden file."""
        with np.load(self.directory / f'{name}.npz', allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def image(self, name: str, shape: tuple) -> Tensor:
        return torch.from_numpy(self.formula.image(name + self.tag, shape))

    def labels(self, name: str, shape: tuple, block: int, ignore: float, num_classes: int = 19) -> Tensor:
        return torch.from_numpy(self.formula.labels(name + self.tag, shape, num_classes, block, ignore))

    def uniform(self, name: str, shape: tuple) -> Tensor:
        return torch.from_numpy(self.formula.uniform(name + self.tag, shape))

    def weight(self, name: str, shape: tuple) -> Tensor:
        return torch.from_numpy(self.formula.weight(name + self.tag, shape))


def assert_close(actual: Tensor, expected: np.ndarray, tolerance: float = 1e-5) -> None:
    """Absolute tolerance after scaling by max|expected|, at least 1: the goldens' rule."""
    expected = torch.as_tensor(expected)
    assert actual.shape == expected.shape, f'shape {tuple(actual.shape)}, expected {tuple(expected.shape)}'
    scale = max(expected.abs().max().item(), 1.0)
    error = (actual.double() - expected.double()).abs().max().item() / scale
    assert error <= tolerance, f'largest scaled deviation {error:.3g} exceeds {tolerance:.3g}'


def assert_gradient_norms(network: nn.Module, names: np.ndarray, norms: np.ndarray, rel: float) -> None:
    """Compare the norms of the gradients, under the reference's names; a parameter of ours that it lacks fails."""
    gradients = {name: value.grad for name, value in network.named_parameters() if value.requires_grad}
    found = {name: gradient.norm().item() for name, gradient in to_reference(gradients).items()}
    assert found == pytest.approx(dict(zip(names.tolist(), norms.tolist(), strict=True)), rel=rel, abs=1e-6)


def assert_teacher(teacher: nn.Module, expected: dict[str, np.ndarray]) -> None:
    """Compare the norms of the teacher's parameters with those that the file stores of some."""
    parameters = to_reference(dict(teacher.named_parameters()))
    stored = {key.split('/')[1]: float(value) for key, value in expected.items() if key.startswith('teacher_norm/')}
    assert stored and {name: parameters[name].norm().item() for name in stored} == pytest.approx(stored, rel=1e-5)


class KeepGradients(OptimWrapper):
    """Leaves weights and gradients as they are at the end of the step."""

    def step(self, **kwargs: object) -> None:
        pass

    def zero_grad(self, **kwargs: object) -> None:
        pass
