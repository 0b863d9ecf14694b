"""Whole training steps against the reference's: logged losses, accumulated gradients and the updated teacher."""
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import udass  # noqa: F401
from tests.reference.golden import Golden
from tests.reference.networks import golden_directory, heads, reference_weights, segmentor_config
from udass.datasets.cityscapes_classes import CLASSES, THING_CLASSES
from udass.models.checkpoints import convert, load_strictly, to_reference
from udass.models.windows import Box
from udass.uda.clip import Clip

STEPS = {'daformer': 'uda_step_daformer_mitb0', 'mic': 'uda_step_mic_hrda_mitb0',
         'quad': 'uda_step_quadmix_daformer_mitb0'}
NETWORK = {'daformer': 'daformer_mitb0', 'mic': 'hrda_daformer_mitb0', 'quad': 'daformer_mitb0'}
# The reference's names of passes and losses in terms of ours.
LOSSES = {'decode': 'source.decode', 'src.loss_imnet_feat_dist': 'source.loss_feature_distance', 'mix.': 'mix.',
          'mix_tss.': 'tss.', 'mix_tst.': 'tst.', 'masked.': 'masked.'}


class KeepGradients(OptimWrapper):
    """Leaves weights and gradients as they are at the end of the step."""

    def step(self, **kwargs):
        pass

    def zero_grad(self, **kwargs):
        pass


class Step:
    """One golden file: the adapter with the reference's weights and choices, its input, the expected numbers."""

    def __init__(self, method):
        init_default_scope('mmseg')
        self.golden = Golden(golden_directory())
        self.method = method
        self.expected = self.golden.load(STEPS[method])
        self.network = self.golden.load(NETWORK[method])
        self.size = tuple(self.expected['size'].tolist())
        self.adapter = MODELS.build(self.config())
        for name, prefix in (('student', 'model.'), ('teacher', 'ema_model.'), ('imagenet', 'imnet_model.')):
            weights = convert(reference_weights(self.golden, self.network, prefix)).weights
            if name == 'imagenet':
                weights = {key: value for key, value in weights.items() if key.startswith('backbone.')}
            load_strictly(getattr(self.adapter, name), weights, name)
        self.adapter.use_metainfo(dict(classes=CLASSES, thing_classes=THING_CLASSES))
        self.adapter.iteration = self.adapter.ema.steps = int(self.expected['local_iter'])
        self.adapter.train()

    def config(self):
        segmentor = segmentor_config('hrda_daformer_mitb5' if self.method == 'mic' else 'daformer_mitb5')
        segmentor.backbone.variant = 'b0'
        for head in heads(segmentor):
            head.in_channels = [32, 64, 160, 256]
        if self.method == 'mic':
            segmentor.crop_size = self.box.size
        # The stored images are normalised already.
        segmentor.data_preprocessor = dict(type='PixelPreprocessor', mean=[0.0] * 3, std=[1.0] * 3)
        return dict(
            type='DomainAdapter', student=segmentor, ema=dict(type='EMA', alpha=0.999),
            pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=float(self.expected['pseudo_threshold'])),
            mixing=dict(type='QuadMix', scale=0.5) if self.method == 'quad' else dict(type='ClassMix'),
            masking=None if self.method == 'daformer' else dict(type='BlockMasking'),
            feature_distance=dict(type='FeatureDistance', weight=0.005, min_ratio=0.75))

    @property
    def box(self):
        return Box(*self.expected['crop_box'].tolist())

    def inject(self, monkeypatch):
        """Replace every draw by the stored choice."""
        adapter = self.adapter
        chosen = self.chosen('source_classes')
        if self.method == 'quad':
            choices = chosen, self.chosen('target_classes')
            monkeypatch.setattr(adapter.mixing, 'draw_classes', lambda *args: choices)
            adapter.mixing.bank.store(*self.templates(), iteration=adapter.iteration - 1)
        else:
            monkeypatch.setattr(adapter.mixing, 'draw_classes', lambda *args: chosen)
        if 'block_mask' in self.expected:
            blocks = torch.from_numpy(self.expected['block_mask'])
            monkeypatch.setattr(adapter.masking, 'draw', lambda *args: blocks)
        if 'crop_box' in self.expected:
            monkeypatch.setattr(adapter.student, 'draw_crop_box', lambda *args: self.box)

    def chosen(self, key):
        """(N, C) bool from stored class ids, -1 pads."""
        chosen = torch.zeros(2, len(CLASSES), dtype=torch.bool)
        for row, ids in zip(chosen, self.expected[key].tolist(), strict=True):
            row[[i for i in ids if i >= 0]] = True
        return chosen

    def templates(self):
        name = f'step_{self.method}'
        size = (2, *self.size)

        def clip(domain, labels, weights, confidence=None):
            return Clip(self.golden.image(f'{name}/{domain}_template', (2, 3, *self.size))[:, None], labels[:, None],
                        weights[:, None], confidence)

        source_label = self.golden.labels(f'{name}/source_template_label', size, block=32, ignore=0.02)
        target_label = self.golden.labels(f'{name}/target_template_label', size, block=32, ignore=0)
        confident = self.golden.uniform(f'{name}/target_template_confident', size) > 0.3
        return (clip('source', source_label, torch.ones(size)),
                clip('target', target_label, self.golden.uniform(f'{name}/target_template_weight', size),
                     confident.float()[:, None]))

    def data(self):
        """Loader batches of the stored images, labels and margins."""
        name = f'step_{self.method}'
        labels = self.golden.labels(f'{name}/source_label', (2, *self.size), block=64, ignore=0.02)
        source = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
        target = [SegDataSample(valid_pseudo_mask=PixelData(data=valid)) for valid in self.valid()]
        return {domain: dict(inputs=list(self.golden.image(f'{name}/{domain}', (2, 3, *self.size))),
                             data_samples=samples) for domain, samples in (('source', source), ('target', target))}

    def valid(self):
        if self.method == 'mic':
            return (self.golden.uniform('step_mic/valid', (2, 1, *self.size)) > 0.1).float()
        valid = torch.ones(2, 1, *self.size)
        valid[:, :, :int(self.expected['ignore_top'])] = 0
        valid[:, :, self.size[0] - int(self.expected['ignore_bottom']):] = 0
        return valid


@pytest.fixture(scope='module', params=STEPS)
def step(request):
    """The step, done, with its log."""
    case = Step(request.param)
    with pytest.MonkeyPatch.context() as monkeypatch:
        case.inject(monkeypatch)
        optimizer = KeepGradients(torch.optim.SGD(case.adapter.student.parameters(), lr=0.1))
        case.log = case.adapter.train_step(case.data(), optimizer)
    return case


def test_losses(step):
    stored = {}
    for key, value in step.expected.items():
        name = key.removeprefix('log/')
        # mmseg's accuracy leaves ignored pixels out, the reference's does not; ours is not logged.
        if name != key and 'acc_seg' not in name:
            start = next(start for start in LOSSES if name.startswith(start))
            stored[LOSSES[start] + name.removeprefix(start).replace('loss_seg', 'loss_ce')] = float(value)
    losses = {key: value.item() for key, value in step.log.items() if key not in ('loss', 'confidence')}
    assert losses == pytest.approx(stored, rel=1e-4)


def test_accumulated_gradients(step):
    parameters = step.adapter.student.named_parameters()
    norms = {name: gradient.norm().item()
             for name, gradient in to_reference({name: value.grad for name, value in parameters}).items()}
    stored = dict(zip(step.expected['grad_norm_names'].tolist(), step.expected['grad_norms'].tolist(), strict=True))
    assert norms == pytest.approx(stored, rel=5e-3, abs=1e-6)


def test_the_teacher_was_updated_before_it_labelled(step):
    teacher = to_reference(dict(step.adapter.teacher.named_parameters()))
    stored = {key.removeprefix('teacher_norm/'): float(value) for key, value in step.expected.items()
              if key.startswith('teacher_norm/')}
    assert stored and {name: teacher[name].norm().item() for name in stored} == pytest.approx(stored, rel=1e-5)
