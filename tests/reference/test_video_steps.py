"""Whole training steps of QuadMix on video against the reference's: labels, masks, mixtures, logits, losses, gradients.

The golden files hold one step of the published scripts with the defects corrected that are listed in their README. Ours
scales the source's flow with the frame and has one backward per pass, so it is compared with the variants ``apart``
(CNN) and ``apart_scaled`` (transformer); with one backward for all passes, with those in which the reference has it.
Both sides compute in double precision: in single precision a label near a tie may flip, and the CNN's gradients are
ill-conditioned.
"""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from tests.reference.golden import Golden, KeepGradients, assert_close, assert_gradient_norms, assert_teacher
from tests.reference.networks import golden_directory, reference_segmentor, reference_weights
from udass.models.checkpoints import convert, load_strictly
from udass.uda.adaptation_losses import class_centroids
from udass.uda.clip import Clip

pytestmark = pytest.mark.slow

STEPS = {
    'daformer': ('video_step_daformer_mitb0', 'video_daformer_mitb0'),
    'accel': ('video_step_accel_r50', 'video_accel_deeplabv2_r50'),
}
# Network, whether all passes have one backward, and the variant of the golden file.
VARIANTS = {
    'daformer': ('daformer', False, 'apart_scaled'),
    'accel': ('accel', False, 'apart'),
    'daformer, joint backward': ('daformer', True, 'scaled_source_flow'),
    'accel, joint backward': ('accel', True, ''),
}
# All but the first take more than ten seconds.
PARAMS = [name if name == 'daformer' else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
# The reference's names of losses, and what ours must be multiplied with: the reference logs them with their factors.
LOSSES = {
    'loss_src': ('source.decode.loss_ce', None),
    'loss_src_aux': ('source.aux.loss_ce', None),
    'loss_src_p': ('tss.decode.loss_ce', None),
    'loss_tar_p': ('tst.decode.loss_ce', 'lambda_t'),
    'loss_trg': ('cross_frame.decode.loss_ce', 'lambda_t'),
    'loss_trg_aux': ('cross_frame.aux.loss_ce', 'lambda_t'),
    'loss_mmd': ('cross_frame.loss_centroids', None),
    'total': ('loss', None),
}


class Step:
    """One golden file: the adapter with the reference's weights and choices, its input, the expected numbers."""

    def __init__(self, network, joint_backward, variant):
        init_default_scope('mmseg')
        self.golden = Golden(golden_directory())
        self.network = network
        self.joint_backward, self.variant = joint_backward, variant
        step, self.keys = STEPS[network]
        if not (self.golden.directory / f'{step}.npz').is_file():
            pytest.skip(f'no {step}.npz in {self.golden.directory}')
        self.values = self.golden.load(step)
        self.size = tuple(self.values['size'].tolist())
        self.source_size = tuple(self.values['source_size'].tolist())
        self.classes = int(self.values['num_classes'])
        self.adapter = MODELS.build(self.config())
        keys = self.golden.load(self.keys)
        for name, prefix in (('student', 'model.'), ('teacher', 'ema_model.')):
            weights = convert(reference_weights(self.golden, keys, prefix)).weights
            load_strictly(getattr(self.adapter, name), weights, name)
        self.adapter.use_metainfo(
            dict(
                classes=[str(i) for i in range(self.classes)],
                rare_classes=[dict(name=str(i)) for i in self.values['rare_classes']],
            )
        )
        self.adapter.iteration = self.adapter.ema.steps = int(self.values['local_iter'])
        self.adapter.train()

    def expected(self, key):
        """The variant's value where it differs, else that of the step as it is corrected."""
        return self.values.get(f'{self.variant}/{key}', self.values.get(key))

    def config(self):
        segmentor = reference_segmentor(self.keys, self.golden, self.golden.load(self.keys))
        # The stored images are normalised already.
        segmentor.data_preprocessor = dict(type='PixelPreprocessor', mean=[0.0] * 3, std=[1.0] * 3)
        share = float(self.values['lambda_t'])
        transformer = self.network == 'daformer'
        return dict(
            type='VideoAdapter',
            student=segmentor,
            ema=dict(type='EMA', alpha=float(self.values['alpha'])),
            pseudo_labels=dict(type='CrossFramePseudoLabels', flip_probability=0.5),
            cross_frame=dict(type='CrossFramePass', scale=share),
            mixing=dict(type='VideoQuadMix', tst_scale=share),
            source_size=self.size if transformer else None,
            feature_mixing=dict(type='FeatureMixing', mix_ratio=0.7, start_iter=8000) if transformer else None,
            centroid_alignment=dict(type='CentroidAlignment', weight=0.01, intervals=1 if transformer else 2),
            match_histograms=True,
            joint_backward=self.joint_backward,
        )

    def frames(self, name, indices, size):
        """(T, 3, H, W): the images ``name<index>``."""
        return torch.cat([self.golden.image(f'video_step_{self.network}/{name}{i}', (1, 3, *size)) for i in indices])

    def labels(self, name, indices, size, ignore=0.02):
        """(T, H, W): the labels ``name<index>``."""
        block = int(self.values['block'])
        return torch.cat(
            [
                self.golden.labels(f'video_step_{self.network}/{name}{i}', (1, *size), block, ignore, self.classes)
                for i in indices
            ]
        )

    def flow(self, name, size):
        """(2, H, W)."""
        return 2 * self.golden.image(f'video_step_{self.network}/{name}', (1, 3, *size))[0, :2]

    def window(self, value):
        """What is mixed of a whole source frame."""
        (row, column), (height, width) = self.values['window'].tolist(), self.size
        return value[..., row : row + height, column : column + width]

    def data(self):
        source = SegDataSample(
            gt_sem_seg=PixelData(data=self.labels('source_label', (0, 1), self.source_size)),
            flow=self.flow('source_flow', self.source_size)[None],
        )
        near, far = self.flow('target_flow', self.size), self.flow('target_far_flow', self.size)
        target = SegDataSample(
            flow=torch.stack([near, near, far]),
            past_flow=self.flow('target_past_flow', self.size)[None],
            metainfo=dict(frame_paths=['t', 't-1', 't-1', 't-2']),
        )
        return dict(
            source=dict(inputs=[self.frames('source', (0, 1), self.source_size)], data_samples=[source]),
            target=dict(inputs=[self.frames('target', (0, 1, 1, 2), self.size)], data_samples=[target]),
            long_tail=self.long_tail(),
        )

    def long_tail(self):
        """The loader's windows of still images, as clips of two equal frames."""
        inputs, samples = [], []
        for draw, name in enumerate(self.values['long_tail_classes'].tolist()):
            label = self.window(self.labels('long_tail_label', (draw, draw), self.source_size))
            inputs.append(self.window(self.frames('long_tail', (draw, draw), self.source_size)))
            still = torch.zeros(1, 2, *self.size)
            samples.append(SegDataSample(gt_sem_seg=PixelData(data=label), flow=still, metainfo=dict(paste_class=name)))
        return dict(inputs=inputs, data_samples=samples)

    def templates(self):
        name, size = f'video_step_{self.network}', self.size
        labels = self.window(self.labels('source_template_label', (0, 1), self.source_size))[None]
        source = Clip(
            frames=self.window(self.frames('source_template', (0, 1), self.source_size))[None],
            labels=labels,
            weights=torch.ones(labels.shape),
            flow=self.window(self.flow('source_template_flow', self.source_size))[None, None],
        )
        labels = self.labels('target_template_label', (0, 1), size, ignore=0)[None]
        confident = torch.cat(
            [self.golden.uniform(f'{name}/target_template_confident{i}', (1, *size)) > 0.3 for i in (0, 1)]
        )[None]
        target = Clip(
            frames=self.frames('target_template', (0, 1), size)[None],
            labels=labels,
            weights=torch.ones(labels.shape),
            confidence=confident.to(torch.get_default_dtype()),
            flow=self.flow('target_template_flow', size)[None, None],
        )
        return source, target

    def run(self, monkeypatch):
        """Take the step with every draw replaced by the stored choice; keeps what each pass showed and gave."""
        adapter, self.passes, self.outputs = self.adapter, {}, {}
        chosen = [torch.zeros(1, self.classes, dtype=torch.bool) for _ in range(2)]
        for row, key in zip(chosen, ('source_classes', 'target_classes'), strict=True):
            row[0, self.values[key].tolist()] = True
        monkeypatch.setattr(adapter.mixing, 'draw_classes', lambda *args: tuple(chosen))
        monkeypatch.setattr(adapter.mixing, 'draw_windows', lambda *args: [tuple(self.values['window'].tolist())])
        monkeypatch.setattr(adapter.pseudo_labels, 'draw_flip', lambda generator: bool(self.values['flip']))
        adapter.mixing.bank.store(*self.templates(), iteration=adapter.iteration - 1)
        outputs_of, in_colours, labelled = adapter.student_outputs, adapter.in_colours_of, adapter.pseudo_labelled_clip
        centroids_of = adapter.centroid_alignment.source_centroids

        def recorded(frames, item):
            self.passes[item.name], self.outputs[item.name] = item, outputs_of(frames, item)
            return self.outputs[item.name]

        def centroids(logits, labels):
            self.centroids = centroids_of(logits, labels)
            return self.centroids

        def matched(source, target):
            self.matched = in_colours(source, target)
            return self.matched

        def target_clip(batch):
            self.target = labelled(batch)
            return self.target

        monkeypatch.setattr(adapter, 'student_outputs', recorded)
        monkeypatch.setattr(adapter.centroid_alignment, 'source_centroids', centroids)
        monkeypatch.setattr(adapter, 'in_colours_of', matched)
        monkeypatch.setattr(adapter, 'pseudo_labelled_clip', target_clip)
        optimizer = KeepGradients(torch.optim.SGD(adapter.student.parameters(), lr=0.1))
        self.log = adapter.train_step(self.data(), optimizer)


@pytest.fixture(scope='module', params=PARAMS)
def step(request):
    """The step, done."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(torch.Tensor, 'float', torch.Tensor.double)
        torch.set_default_dtype(torch.float64)
        try:
            case = Step(*VARIANTS[request.param])
            case.adapter.to(torch.get_default_dtype())
            for name in ('image', 'uniform'):
                draw = getattr(case.golden, name)
                monkeypatch.setattr(
                    case.golden, name, lambda *args, draw=draw: draw(*args).to(torch.get_default_dtype())
                )
            case.run(monkeypatch)
        finally:
            torch.set_default_dtype(torch.float32)
    return case


def close(actual, expected, tolerance):
    assert_close(actual.detach(), np.asarray(expected), tolerance)


def test_the_source_takes_the_colours_of_the_target(step):
    for frame in range(2):
        close(step.matched.frames[:, frame, :, ::4, ::4], step.expected(f'matched/{frame}'), 1e-6)


def test_labels_across_time(step):
    for frame, suffix in enumerate(('', '_before')):
        assert np.array_equal(step.target.labels[:, frame, ::2, ::2], step.expected(f'cross_frame/label{suffix}'))
        close(step.target.confidence[:, frame, ::4, ::4], step.expected(f'cross_frame/confidence{suffix}'), 1e-6)
    names = [f'cross_frame/label{part}_cells' for part in ('', '_aux')]
    assert step.target.cell_labels.shape[1] == (1 if step.network == 'daformer' else 2)
    for decoder, name in enumerate(names[: step.target.cell_labels.shape[1]]):
        assert np.array_equal(step.target.cell_labels[:, decoder], step.expected(name))


def test_mixtures(step):
    for name in ('tss', 'tst'):
        clip = step.passes[name].clip
        for frame in range(2):
            close(clip.frames[:, frame, :, ::4, ::4], step.expected(f'mix/{name}/frame{frame}'), 1e-6)
            assert np.array_equal(clip.labels[:, frame, ::2, ::2], step.expected(f'mix/{name}/label{frame}'))
        close(clip.flow[:, 0, :, ::4, ::4], step.expected(f'mix/{name}/flow'), 1e-6)
        assert np.array_equal(clip.no_flow[:, 0, ::2, ::2], step.expected('mix/tail_mask') > 0)
    if step.network == 'daformer':
        assert np.array_equal(step.passes['tst'].pasted[:, 0, ::2, ::2], step.expected('mix/feature_mask') > 0)


def test_logits(step):
    for name, of in (('source', 'source'), ('target', 'cross_frame')):
        close(step.outputs[of].logits[:, :, ::2, ::2], step.expected(f'scores/{name}'), 1e-6)
    for name in ('tss', 'tst'):
        close(step.outputs[name].logits[:, :, ::8, ::8], step.expected(f'scores/{name}'), 1e-6)
    if step.network == 'accel':
        close(step.outputs['cross_frame'].extra_logits[:, :, ::2, ::2], step.expected('scores/target_far'), 1e-6)


def test_class_means(step):
    close(step.centroids, step.expected('centroids/source'), 1e-6)
    outputs = step.outputs['cross_frame']
    for logits, name in ((outputs.logits, 'target'), (outputs.extra_logits, 'target_far')):
        if logits is not None:
            close(class_centroids(logits, over_ranks=False), step.expected(f'centroids/{name}'), 1e-6)


def test_losses(step):
    expected, found = {}, {}
    for name, (ours, factor) in LOSSES.items():
        if (value := step.expected(f'log/{name}')) is not None:
            expected[name] = float(value)
            found[name] = step.log[ours].item() * (1 if factor is None else float(step.values[factor]))
    assert found == pytest.approx(expected, rel=1e-6)


def test_accumulated_gradients(step):
    names, norms = step.values['grad_norm_names'], step.expected('grad_norms')
    assert_gradient_norms(step.adapter.student, names, norms, rel=1e-3)


def test_the_teacher_was_updated_before_it_labelled(step):
    assert_teacher(step.adapter.teacher, step.values)
