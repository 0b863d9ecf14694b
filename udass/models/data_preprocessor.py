"""Preprocessors that turn loader batches into pixels, and pixels into the network's input.

Shapes: N batch, T frames of a clip, H, W pixels; leading dimensions may hold batch and frames.
"""

from collections.abc import Sequence

import torch
from mmengine.model.base_model.data_preprocessor import CastData
from mmseg.models import SegDataPreProcessor
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.models.precision import at_least_float32


@MODELS.register_module()
class PixelPreprocessor(SegDataPreProcessor):
    """mmseg's preprocessor, whose two halves can also be called one by one.

    The training step mixes and recolours images in pixel space and normalises the result once; mmseg's own preprocessor
    does both at once only. In testing it behaves as its parent.
    """

    def pixels(self, data: dict) -> tuple[Tensor, list]:
        """A loader batch on the device: RGB frames (N, T, 3, H, W) float in [0, 255] of images (3, H, W), which are
        clips of one frame, or clips (T, 3, H, W), in the loader's channel order; and the data samples."""
        check_one_size(data, 'end the pipeline with a crop of fixed size, or use batch_size=1')
        data = self.cast_data(data)
        frames = torch.stack([image if image.dim() == 4 else image[None] for image in data['inputs']])
        if self._channel_conversion and frames.shape[-3] == 3:
            frames = frames.flip(-3)
        return at_least_float32(frames), data['data_samples']

    def cast_data(self, data: CastData) -> CastData:
        """A loader batch on the device, with labels of int64; loaders send bytes, see ``PackUDAInputs``."""
        if not isinstance(data, (Tensor, SegDataSample)):
            return super().cast_data(data)
        # From pinned memory the copy runs beside what the device still has to do.
        cast = data.to(self.device, non_blocking=True)
        if isinstance(cast, SegDataSample) and 'gt_sem_seg' in cast:
            # Not the loader's sample: moving makes a new one, even from a device to itself.
            cast.gt_sem_seg.data = cast.gt_sem_seg.data.long()
        return cast

    def forward(self, data: dict, training: bool = False) -> dict:
        """As mmseg's, which takes images only; a batch of clips becomes normalised frames (N, T, 3, H, W)."""
        if not training:
            check_one_size(data, 'set batch_size=1 in test_dataloader and val_dataloader')
        if data['inputs'][0].dim() == 3:
            return super().forward(data, training)
        frames, samples = self.pixels(data)
        return dict(inputs=self.normalize(frames), data_samples=samples)

    @property
    def neutral(self) -> Tensor:
        """The colour that normalisation turns into 0, (3, 1, 1) or a scalar."""
        return self.mean if self._enable_normalize else torch.zeros(())

    def normalize(self, frames: Tensor) -> Tensor:
        """Normalise pixels (..., 3, H, W) as the network expects them."""
        if not self._enable_normalize:
            return frames
        return (frames - self.mean).div_(self.std)


def check_one_size(data: dict, advice: str) -> None:
    """Raises ValueError, with sizes, files and the advice, if the images of a loader batch differ in size."""
    sizes = sorted({tuple(image.shape[-2:]) for image in data['inputs']})
    if len(sizes) > 1:
        names = [sample.metainfo.get('img_path') for sample in data['data_samples']]
        raise ValueError(f'images of one batch differ in size (H, W): {sizes}, files {names}; {advice}')


@MODELS.register_module()
class CaffePreprocessor(PixelPreprocessor):
    """`PixelPreprocessor` for networks whose weights come from Caffe, which take BGR minus its mean, undivided.

    In pixel space images stay RGB, as every colour change of the training step expects them; only `normalize` turns
    the channels around. Loaders give BGR.

    Args:
        mean: of blue, green and red in [0, 255].
        pad_val: padding of images of different sizes in testing, once normalised.
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
        """RGB frames (..., 3, H, W) and the data samples of a batch; see `PixelPreprocessor`."""
        frames, samples = super().pixels(data)
        return frames.flip(-3), samples

    @property
    def neutral(self) -> Tensor:
        """The RGB colour that normalisation turns into 0, (3, 1, 1)."""
        return self.mean.flip(0)

    def normalize(self, frames: Tensor) -> Tensor:
        """RGB pixels (..., 3, H, W) as BGR minus the mean."""
        return super().normalize(frames.flip(-3))
