"""A pass: one forward and backward of the student.

Shapes: N batch, T frames, H, W pixels.
"""
from dataclasses import dataclass

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.models.windows import Box
from udass.uda.clip import Clip


@dataclass(frozen=True)
class Pass:
    """What the student is shown and how much its loss counts.

    Attributes:
        name: prefix of its losses in the log (``source``, ``mix``, ``tss``, ``tst``, ``masked``, ``target``).
        clip: pixels, labels and weights; frame 0 is the one to segment.
        scale: factor of the pass in the total loss (the log shows the loss without it).
        labelled: False has no cross-entropy, but the losses of the alignment on unlabelled images.
        box: the detail crop of HRDA networks.
        anchored: the feature distance joins its loss.
        pasted: (N, 1, H, W) bool, where mixed passes share pasted content and may mix decoder features.
    """

    name: str
    clip: Clip
    scale: float = 1.0
    labelled: bool = True
    box: Box | None = None
    anchored: bool = False
    pasted: Tensor | None = None

    def data_samples(self) -> list[SegDataSample]:
        """mmseg data samples of frame 0 with ``gt_sem_seg`` and ``gt_pixel_weight``, both (1, H, W)."""
        samples = []
        for labels, weights in zip(self.clip.labels[:, :1], self.clip.weights[:, :1], strict=True):
            sample = SegDataSample(metainfo=dict(img_shape=self.clip.size, ori_shape=self.clip.size))
            sample.gt_sem_seg = PixelData(data=labels)
            sample.gt_pixel_weight = PixelData(data=weights)
            samples.append(sample)
        return samples
