"""Training steps on images, taken by the project's `train_step` with the reference's weights, inputs and choices."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor

from tests.reference.golden import Golden
from tests.reference.networks import ROOT, golden_directory, heads, reference_weights, segmentor_config
from udass.datasets.base.classes import CLASSES, THING_CLASSES
from udass.models.checkpoints import convert, load_strictly
from udass.models.windows import Box

# Method, as the golden files call it -> its config and its network.
METHODS = {
    'daformer': ('daformer', 'daformer_mitb0'),
    'mic': ('mic', 'hrda_daformer_mitb0'),
    'quad': ('quadmix', 'daformer_mitb0'),
}
# The reference's names of passes and losses in terms of ours.
_LOSSES = {
    'decode': 'source.decode',
    'src.loss_imnet_feat_dist': 'source.loss_feature_distance',
    'mix.': 'mix.',
    'mix_tss.': 'tss.',
    'mix_tst.': 'tst.',
    'masked.': 'masked.',
}


class ImageSteps:
    """The steps of one golden file: the adapter with the reference's weights, and what it is given.

    Args:
        method: a key of `METHODS`.
        file: the golden file.
        teacher: start of the names of the teacher's weights.
        dtype: of networks and images.
    """

    def __init__(self, method: str, file: str, teacher: str, dtype: torch.dtype = torch.float32) -> None:
        init_default_scope('mmseg')
        self.golden = Golden(golden_directory())
        self.method = method
        self.dtype = dtype
        self.expected = self.golden.load(file)
        self.size = tuple(self.expected['size'].tolist())
        self.adapter = MODELS.build(self._config())
        network = self.golden.load(METHODS[method][1])
        for name, prefix in (('student', 'model.'), ('teacher', teacher), ('imagenet', 'imnet_model.')):
            weights = convert(reference_weights(self.golden, network, prefix)).weights
            if name == 'imagenet':
                weights = {key: value for key, value in weights.items() if key.startswith('backbone.')}
            load_strictly(getattr(self.adapter, name), weights, name)
        self.adapter.use_metainfo(dict(classes=CLASSES, thing_classes=THING_CLASSES))
        self.adapter.iteration = self.adapter.ema.steps = int(self.expected.get('local_iter', 0))
        self.adapter.to(dtype).train()

    @property
    def boxes(self) -> np.ndarray:
        """Boxes of HRDA's details, (steps, 3, 4); a file of one step has one for its three passes."""
        if 'crop_boxes' in self.expected:
            return self.expected['crop_boxes']
        return np.tile(self.expected['crop_box'], (1, 3, 1))

    def _config(self) -> dict:
        """The method's config file with the golden file's network and numbers, and without change of colours."""
        segmentor = segmentor_config('hrda_daformer_mitb5' if self.method == 'mic' else 'daformer_mitb5')
        segmentor.backbone.variant = 'b0'
        for head in heads(segmentor):
            head.in_channels = [32, 64, 160, 256]
        if self.method == 'mic':
            segmentor.crop_size = Box(*self.boxes[0, 0].tolist()).size
        # The stored images are normalised already.
        segmentor.data_preprocessor = dict(type='PixelPreprocessor', mean=[0.0] * 3, std=[1.0] * 3)
        config = Config.fromfile(ROOT / 'configs' / '_base_' / 'uda' / f'{METHODS[self.method][0]}.py').model
        config.update(student=segmentor, photometric=None)
        config.pseudo_labels.threshold = float(self.expected['pseudo_threshold'])
        if self.method == 'quad':
            config.mixing.start_iter = int(self.expected.get('start_iter', 0))
            if 'confidence_threshold' in self.expected:
                config.mixing.confidence_threshold = float(self.expected['confidence_threshold'])
        return config

    @contextmanager
    def choices(
        self,
        source: np.ndarray,
        target: np.ndarray | None = None,
        blocks: np.ndarray | None = None,
        boxes: np.ndarray | None = None,
    ) -> Iterator[None]:
        """Within the block a step takes these instead of drawing.

        Args:
            source, target: ids of the pasted classes, (2, n), -1 pads; ClassMix has none of the target.
            blocks: (2, 1, h, w), 1 keeps.
            boxes: (3, 4), details of the source, the mixed and the masked pass.
        """
        adapter, chosen = self.adapter, class_masks(source)
        replaced = [(getattr(adapter.mixing, 'before_start', adapter.mixing), 'draw_classes', [chosen])]
        if target is not None:
            replaced.append((adapter.mixing, 'draw_classes', [(chosen, class_masks(target))]))
        if blocks is not None:
            replaced.append((adapter.masking, 'draw', [torch.from_numpy(blocks)]))
        if boxes is not None:
            replaced.append((adapter.student, 'draw_crop_box', [Box(*box) for box in boxes.tolist()]))
        with ExitStack() as stack:
            for component, name, drawn in replaced:
                stack.enter_context(mock.patch.object(component, name, side_effect=drawn))
            yield

    def data(self, series: str, number: str = '', margins: tuple[int, int] | None = None) -> dict[str, dict]:
        """Loader batches of the stored images and labels.

        Args:
            series: start of the names.
            number: end of the names, before the tag.
            margins: rows at the top and the bottom whose pseudo-labels are not trusted; None takes stored pixels.
        """
        if margins is None:
            valid = (self.golden.uniform(f'{series}/valid{number}', (2, 1, *self.size)) > 0.1).float()
        else:
            valid = torch.ones(2, 1, *self.size)
            valid[:, :, : margins[0]] = 0
            valid[:, :, self.size[0] - margins[1] :] = 0
        labels = self.golden.labels(f'{series}/source_label{number}', (2, *self.size), block=64, ignore=0.02)
        samples = {
            'source': [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels],
            'target': [SegDataSample(valid_pseudo_mask=PixelData(data=part)) for part in valid],
        }
        return {
            domain: dict(inputs=list(self.images(f'{series}/{domain}{number}')), data_samples=samples[domain])
            for domain in samples
        }

    def images(self, name: str) -> Tensor:
        """A stored batch of images, (2, 3, H, W)."""
        return self.golden.image(name, (2, 3, *self.size)).to(self.dtype)

    def losses(self) -> dict[str, np.ndarray]:
        """The stored losses by our names. Accuracies are left out: the reference counts ignored pixels in them."""
        stored = {
            key.removeprefix('log/'): value
            for key, value in self.expected.items()
            if key.startswith('log/') and 'acc_seg' not in key
        }
        found = {}
        for name, value in stored.items():
            start = next(start for start in _LOSSES if name.startswith(start))
            found[_LOSSES[start] + name.removeprefix(start).replace('loss_seg', 'loss_ce')] = value
        return found


def class_masks(ids: np.ndarray) -> Tensor:
    """(N, C) bool from class ids (N, n), -1 pads."""
    chosen = torch.zeros(len(ids), len(CLASSES), dtype=torch.bool)
    for row, classes in zip(chosen, ids.tolist(), strict=True):
        row[[train_id for train_id in classes if train_id >= 0]] = True
    return chosen
