"""The directory of the golden files as a fixture."""

from pathlib import Path

import pytest

from tests.reference.networks import golden_directory


@pytest.fixture(scope='session')
def golden_dir() -> Path:
    """See `golden_directory`."""
    return golden_directory()
