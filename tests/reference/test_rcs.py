"""Rare-class sampling against the probabilities of the reference implementation."""

import json

import numpy as np
import pytest

from tests.reference.golden import Golden
from udass.datasets import class_probabilities


@pytest.mark.parametrize('temperature', [0.01, 0.1])
def test_class_probabilities(golden_dir, temperature):
    golden = Golden(golden_dir)
    expected = golden.load('image_functions')
    pixels = np.zeros(19)
    for file in json.loads((golden.directory / 'rcs_sample_class_stats.json').read_text()):
        for train_id, count in file.items():
            if train_id != 'file':
                pixels[int(train_id)] += count
    classes = expected[f'rcs/classes_T{temperature}']
    # The reference leaves out classes that never occur.
    actual = class_probabilities(pixels / pixels.sum(), temperature)[classes]
    np.testing.assert_allclose(actual / actual.sum(), expected[f'rcs/probs_T{temperature}'], rtol=1e-4, atol=1e-7)
