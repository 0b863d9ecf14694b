"""A pass: one forward and backward of the student.

Shapes: N batch, T frames, H, W pixels.
"""

from dataclasses import dataclass, field

from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor

from udass.models.windows import Box
from udass.uda.clip import Clip


@dataclass
class IterationState:
    """What a pass hands on to later passes of its iteration, all without graph.

    Attributes:
        features: decoder features of a mixed pass (`FeatureMixing`), one entry per call of the fusion layer.
        centroids: class means of the source's scores (`CentroidAlignment`), (C, C).
    """

    features: list[Tensor] = field(default_factory=list)
    centroids: Tensor | None = None


@dataclass(frozen=True)
class Pass:
    """What the student is shown and how much its loss counts.

    Attributes:
        name: prefix of its losses in the log (``source``, ``mix``, ``tss``, ``tst``, ``masked``, ``target``,
            ``cross_frame``).
        clip: pixels, labels and weights; frame 0 is the one to segment.
        scale: factor of its cross-entropy in the total loss (the log shows the loss without it).
        labelled: False has no cross-entropy, but the losses of the adaptation loss on unlabelled images.
        box: the detail crop of HRDA networks.
        feature_distance: the feature distance joins its loss.
        pasted: (N, T, H, W) bool, where mixed passes share pasted content and may mix decoder features.
        auxiliary: whether auxiliary heads of a flow-guided network learn from it.
        auxiliary_labels: what they learn, (N, D, h, w), one map for each of D heads; None gives them the clip's labels.
        extra: another clip whose logits a flow-guided network computes too, without a loss of their own: class means
            are aligned with them.
    """

    name: str
    clip: Clip
    scale: float = 1.0
    labelled: bool = True
    box: Box | None = None
    feature_distance: bool = False
    pasted: Tensor | None = None
    auxiliary: bool = True
    auxiliary_labels: Tensor | None = None
    extra: Clip | None = None

    def data_samples(self, weighted: bool = True) -> list[SegDataSample]:
        """mmseg data samples of frame 0 with ``gt_sem_seg`` and, if weighted, ``gt_pixel_weight``, both (1, H, W), and
        ``auxiliary_sem_seg`` (D, H, W) if there are such labels."""
        samples = []
        for index, (labels, weights) in enumerate(zip(self.clip.labels[:, :1], self.clip.weights[:, :1], strict=True)):
            sample = SegDataSample(metainfo=dict(img_shape=self.clip.size, ori_shape=self.clip.size))
            sample.gt_sem_seg = PixelData(data=labels)
            if weighted:
                sample.gt_pixel_weight = PixelData(data=weights)
            if self.auxiliary_labels is not None:
                sample.auxiliary_sem_seg = PixelData(data=self.auxiliary_labels[index])
            samples.append(sample)
        return samples
