"""Counted pixels of every image of a test: what differences between methods are computed from."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from udass.io.writing import write_bytes


@dataclass(frozen=True)
class ImageCounts:
    """Counted pixels of a test set by image.

    Attributes:
        images: paths of the N images.
        classes: names of the C classes.
        confusion: (N, C, C), pixels by true class (rows) and predicted class.
    """

    images: Sequence[str]
    classes: Sequence[str]
    confusion: np.ndarray

    def write(self, path: Path) -> None:
        """Write the counts as a compressed npz file: 40 KB for 233 images of 11 classes."""
        content = io.BytesIO()
        confusion = self.confusion.astype(np.uint32)
        np.savez_compressed(content, images=list(self.images), classes=list(self.classes), confusion=confusion)
        write_bytes(path, content.getvalue())

    @classmethod
    def read(cls, path: Path) -> 'ImageCounts':
        """Read what `write` wrote."""
        with np.load(path) as file:
            return cls(file['images'].tolist(), file['classes'].tolist(), file['confusion'])

    def is_of_the_same_test(self, other: 'ImageCounts') -> bool:
        """Whether both count the same images, which may lie in different folders, in the same order and classes."""
        mine, theirs = ([Path(image).name for image in one.images] for one in (self, other))
        return mine == theirs and list(self.classes) == list(other.classes)
