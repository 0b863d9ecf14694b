"""Test-time augmentation: the mean of what a network predicts for an image and its mirror image, at several sizes."""

from collections.abc import Mapping, Sequence

from mmengine.model import BaseTTAModel
from mmengine.structures import PixelData


class MeanOfViews(BaseTTAModel):
    """Averages the probabilities of the views of each image; arguments as mmengine's."""

    def merge_preds(self, data_samples_list: list[list]) -> list:
        """The first sample of each image, with the mean of the probabilities (C, H, W) of its views as ``seg_logits``;
        ValueError if the network has a single logit per pixel."""
        for views in data_samples_list:
            logits = [view.seg_logits.data for view in views]
            if len(logits[0]) < 2:
                raise ValueError('--tta needs a logit per class; this network has a single one per pixel')
            mean = sum(one.softmax(dim=0) for one in logits) / len(logits)
            views[0].seg_logits = PixelData(data=mean)
            views[0].pred_sem_seg = PixelData(data=mean.argmax(dim=0, keepdim=True))
        return [views[0] for views in data_samples_list]


def add_views(dataset: Mapping, scales: Sequence[float]) -> dict:
    """The config of a data set of images, or of several that are joined, whose pipeline gives each of them at several
    sizes relative to its own (1 is to be the first), as it is and mirrored. ValueError if the pipeline loads clips, or
    does not resize and other sizes than 1 are wanted."""
    for key, inner in (('datasets', dataset.get('datasets')), ('dataset', dataset.get('dataset'))):
        if inner is not None:
            parts = [add_views(part, scales) for part in ([inner] if key == 'dataset' else inner)]
            return {**dataset, key: parts[0] if key == 'dataset' else parts}
    pipeline = list(dataset['pipeline'])
    if any('Clip' in step['type'] for step in pipeline):
        raise ValueError('--tta mirrors and resizes single images, and this config tests on clips: leave it out')
    resizes = [place for place, step in enumerate(pipeline) if 'scale' in step]
    if not resizes and list(scales) != [1.0]:
        raise ValueError('--tta with sizes needs a Resize with a scale in the test pipeline: leave the sizes out')
    place = resizes[0] if resizes else 0
    sizes = [[_scaled(pipeline[place], scale) for scale in scales]] if resizes else []
    flips = [{'type': 'RandomFlip', 'prob': probability, 'direction': 'horizontal'} for probability in (0.0, 1.0)]
    # After the resize, or after the image is loaded.
    before, after = pipeline[: place + (not resizes)], pipeline[place + 1 :]
    views = {'type': 'TestTimeAug', 'transforms': [*sizes, flips, *([step] for step in after)]}
    return {**dataset, 'pipeline': [*before, views]}


def _scaled(step: Mapping, scale: float) -> dict:
    return {**step, 'scale': tuple(round(side * scale) for side in step['scale'])}
