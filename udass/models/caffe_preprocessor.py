"""Pixels for networks whose weights come from Caffe.

Shapes: N batch, H, W pixels; leading dimensions may hold batch and frames.
"""

from collections.abc import Sequence

from mmseg.registry import MODELS
from torch import Tensor

from udass.models.data_preprocessor import PixelPreprocessor


@MODELS.register_module()
class CaffePreprocessor(PixelPreprocessor):
    """As its parent, for networks that take BGR minus its mean, undivided.

    In pixel space images stay RGB, as every colour change of the training step expects them; only `normalize` turns
    the channels around. Loaders give BGR.

    Args:
        mean: of blue, green and red in [0, 255].
        pad_val: what images of different sizes are padded with in testing, once normalised.
        seg_pad_val: the same for labels.
    """

    def __init__(
        self,
        mean: Sequence[float] = (104.00698793, 116.66876762, 122.67891434),
        pad_val: float = 0,
        seg_pad_val: int = 255,
    ) -> None:
        super().__init__(mean=list(mean), std=[1.0, 1.0, 1.0], pad_val=pad_val, seg_pad_val=seg_pad_val)

    def pixels(self, data: dict) -> tuple[Tensor, list]:
        """As its parent: RGB frames (..., 3, H, W) and the data samples."""
        frames, samples = super().pixels(data)
        return frames.flip(-3), samples

    @property
    def neutral(self) -> Tensor:
        """The RGB colour that normalisation turns into 0, (3, 1, 1)."""
        return self.mean.flip(0)

    def normalize(self, frames: Tensor) -> Tensor:
        """RGB pixels (..., 3, H, W) as BGR minus the mean."""
        return super().normalize(frames.flip(-3))
