"""One network golden as a test case; run as a program it prints the gradient norms of networks.

The gradients of a ResNet in train mode are ill-conditioned in float32: at 128x192, other convolution kernels change the
norms of the first layers by up to 2 percent, more than the goldens' tolerance. The goldens were computed with oneDNN's
AVX2 kernels on several threads; under these, ours agree to 2e-4 and better. oneDNN chooses its kernels once per
process, hence a process of its own.
"""

import json
import os
import subprocess
import sys

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from tests.models.small import samples
from tests.reference.golden import Golden
from tests.reference.networks import ROOT, golden_directory, reference_network
from udass.models.checkpoints import to_reference

_REFERENCE_ARITHMETIC = {'ONEDNN_MAX_CPU_ISA': 'AVX2', 'OMP_NUM_THREADS': '2'}


class Case:
    """One golden file: the network, its input and the expected numbers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.golden = Golden(golden_directory())
        self.expected = self.golden.load(name)
        self.size = tuple(self.expected['size'].tolist())
        self.network = reference_network(name, self.golden, self.expected)
        self.start = {key: value.clone() for key, value in self.network.state_dict().items()}
        self.images = self.golden_input('image', 'img', (2, 3, *self.size), name)
        self.labels = torch.from_numpy(self.golden.formula.labels(f'{name}{self.golden.tag}/gt', (2, *self.size), 19))
        self.weights = self.golden_input('uniform', 'weight', (2, *self.size), name)

    def golden_input(self, kind: str, part: str, shape: tuple, name: str) -> Tensor:
        return torch.from_numpy(getattr(self.golden.formula, kind)(f'{name}{self.golden.tag}/{part}', shape))

    def evaluated(self) -> torch.nn.Module:
        """The network in eval mode, with the running statistics back that training passes have moved."""
        self.network.load_state_dict(self.start)
        return self.network.eval()

    def samples(self, weighted: bool) -> list[SegDataSample]:
        return samples(self.labels, self.weights if weighted else None)

    def losses(self, weighted: bool) -> dict[str, Tensor]:
        """Loss by name in train mode; HRDA with the stored detail box."""
        self.network.train()
        given = {'crop_box': self.expected['crop_box']} if 'crop_box' in self.expected else {}
        return self.network(self.images, self.samples(weighted), mode='loss', **given)

    def gradient_norms(self) -> dict[str, float]:
        """Of the weighted losses, by the reference's names; a parameter of ours that it lacks keeps our name."""
        self.network.zero_grad()
        sum(self.losses(weighted=True).values()).backward()
        gradients = to_reference({name: parameter.grad for name, parameter in self.network.named_parameters()})
        return {name: gradient.norm().item() for name, gradient in gradients.items()}


def gradient_norms_in_reference_arithmetic(names: list[str]) -> dict[str, dict[str, float]]:
    """`Case.gradient_norms` of golden files, computed in a process of its own."""
    result = subprocess.run(
        [sys.executable, '-m', 'tests.reference.network_case', *names],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, **_REFERENCE_ARITHMETIC, 'PYTHONPATH': str(ROOT)},
    )
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == '__main__':
    sys.stdout.write(json.dumps({name: Case(name).gradient_norms() for name in sys.argv[1:]}) + '\n')
