"""Random states of a training process as plain containers, so that a checkpoint with them loads weights-only."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def get_random_state() -> dict:
    """States of the generators of Python, NumPy and torch (CPU, and the current CUDA device if there is one)."""
    _, keys, position, has_gauss, gauss = np.random.get_state()
    state = {
        'python': random.getstate(),
        'numpy': {
            'keys': torch.from_numpy(keys.astype(np.int64)),
            'position': int(position),
            'has_gauss': int(has_gauss),
            'gauss': float(gauss),
        },
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: dict) -> None:
    """Sets the generators to what :func:`get_random_state` returned, here or in another process."""
    version, internal, gauss_next = state['python']
    random.setstate((version, tuple(internal), gauss_next))
    numpy_state = state['numpy']
    keys = numpy_state['keys'].cpu().numpy().astype(np.uint32)
    np.random.set_state(('MT19937', keys, numpy_state['position'], numpy_state['has_gauss'], numpy_state['gauss']))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def start_random_state(seed: int) -> None:
    """Seeds the generators of Python, NumPy and torch (all devices) with a number >= 0."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Leaves the generators as they were before: for work in between that must not change the training."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)
