"""Checkpoints of small networks, as those of tests/inference."""

from tests.inference.conftest import image_run, streets, video_run

__all__ = ['image_run', 'streets', 'video_run']
