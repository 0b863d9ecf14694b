import io
import random

import numpy as np
import torch

from udass.engine.distributed import get_random_state, preserved_random_state, set_random_state


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(3).tolist()


def test_states_come_back_from_a_file_that_is_read_weights_only():
    random.gauss(0, 1)
    np.random.randn()
    file = io.BytesIO()
    torch.save(get_random_state(), file)
    expected = draw()
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert draw() == expected


def test_what_draws_in_between_leaves_no_trace():
    state = get_random_state()
    expected = draw()
    set_random_state(state)
    with preserved_random_state():
        draw()
        torch.manual_seed(5)
    assert draw() == expected
