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
        datasets: of several test sets the name of that of each image; empty for one.
    """

    images: Sequence[str]
    classes: Sequence[str]
    confusion: np.ndarray
    datasets: Sequence[str] = ()

    def places(self) -> list[np.ndarray]:
        """The positions of the images of each test set."""
        names = np.array(self.datasets or [''] * len(self.images))
        return [np.flatnonzero(names == name) for name in dict.fromkeys(names)]

    def write(self, path: Path) -> None:
        """Write the counts as a compressed npz file: 40 KB for 233 images of 11 classes."""
        content = io.BytesIO()
        confusion = self.confusion.astype(np.uint32)
        names = dict(images=list(self.images), classes=list(self.classes), datasets=list(self.datasets))
        np.savez_compressed(content, confusion=confusion, **names)
        write_bytes(path, content.getvalue())

    @classmethod
    def read(cls, path: Path) -> 'ImageCounts':
        """Read what `write` wrote."""
        with np.load(path) as file:
            return cls(**{name: value if name == 'confusion' else value.tolist() for name, value in file.items()})

    def is_of_the_same_test(self, other: 'ImageCounts') -> bool:
        """Whether both count the same images, which may lie in different folders, in the same order and classes."""
        mine, theirs = ([Path(image).name for image in one.images] for one in (self, other))
        names = (list(self.classes), list(self.datasets)), (list(other.classes), list(other.datasets))
        return mine == theirs and names[0] == names[1]
