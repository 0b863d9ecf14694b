"""Training steps of tiny networks on one process or several, on data and choices that are the same for both.

Everything is float64. The order of a sum depends on the processor and on the number of processes and threads, and
steps at a high learning rate enlarge its rounding.
"""

import copy
import logging
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch
import torch.distributed as dist
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import init_default_scope
from torch import nn

from tests.uda.small import FLOW_GUIDED, HRDA, METHODS, SEGMENTOR, VIT, batch, build, clips, trained, unlabelled
from udass.engine.distributed import SeparateDataParallel
from udass.engine.optim import checkpoint_without_reentry
from udass.models.segmentors import FlowGuidedHRDAEncoderDecoder, HRDAEncoderDecoder
from udass.models.windows import Box
from udass.uda import VideoAdapter
from udass.uda.photometric import PhotometricChange, PhotometricDraw, StrongAugmentation

RANKS = 2
# QuadMix has a template from the second one on.
STEPS = 2
# Cases that are also tried with accumulated gradients.
ACCUMULATED = ('dacs', 'quadmix_features', 'frozen')
# Without the only loss of the image methods whose average over the batch is none over the samples.
UNCOUPLED = dict(feature_distance=None)


def _changed(segmentor, **changes):
    segmentor = copy.deepcopy(segmentor)
    for key, value in changes.items():
        segmentor[key] = {**segmentor[key], **value} if isinstance(segmentor.get(key), dict) else value
    return segmentor


_VALID = _changed(SEGMENTOR, decode_head=dict(loss_decode=dict(type='ValidCrossEntropy')))
# Beside the methods: what needs special care on several processes.
CASES = {
    **METHODS,
    # The fusion of two frames gets no gradient from images.
    'flow_guided': (METHODS['dacs'][0], FLOW_GUIDED),
    # Self-training on clips of two frames.
    'hrda_clips': (METHODS['hrda'][0], _changed(HRDA, type='FlowGuidedHRDAEncoderDecoder')),
    # The ranks have different numbers of labelled pixels.
    'valid_cross_entropy': (METHODS['dacs'][0], _VALID),
    # Student and teacher have the same frozen parameters.
    'frozen': (METHODS['vfmuda'][0], _changed(VIT, backbone=dict(frozen=True))),
    # The backbone is entered twice per pass, and recomputed twice.
    'checkpointing': (METHODS['hrda'][0], _changed(HRDA, backbone=dict(with_cp=True))),
}


def domains(seed: int, rank: int, frames: int = 1) -> dict:
    """One iteration's data of a rank, with so many frames of the target; the last rank has more unlabelled pixels than
    the others."""
    seed = 100 * seed + 10 * rank
    if frames > 1:
        data = dict(
            source=clips(2, seed=seed),
            target=clips(2, frames=frames, labelled=False, seed=seed + 5),
            long_tail=clips(4, seed=seed + 7, paste_class=3),
        )
    else:
        data = dict(
            source=batch(2, seed=seed),
            target=unlabelled(2, seed=seed + 5),
            long_tail=batch(8, seed=seed + 7, paste_class=3),
        )
    for sample in data['source']['data_samples']:
        sample.gt_sem_seg.data[:, : 16 * (rank + 1)] = 255
    for part in data.values():
        part['inputs'] = [frames.double() for frames in part['inputs']]
        for sample in part['data_samples']:
            sample.set_data({name: sample.get(name).double() for name in ('flow', 'past_flow') if name in sample})
    return data


def joined_domains(seed: int, frames: int = 1) -> dict:
    """The same data as the batch of one process: rank r of n had the samples r, r + n, ... of it."""
    parts = [domains(seed, rank, frames) for rank in range(RANKS)]
    return {
        name: {
            key: [value for samples in zip(*(part[name][key] for part in parts), strict=True) for value in samples]
            for key in ('inputs', 'data_samples')
        }
        for name in parts[0]
    }


def _first_classes(present, number, generator):
    return present & (present.cumsum(dim=1) <= number[:, None])


def _checkerboard(rows, columns):
    return (torch.arange(rows)[:, None] + torch.arange(columns)) % 2


def _blocks(masking, batch, size, generator):
    return _checkerboard(*(side // masking.block_size for side in size)).float().expand(batch, 1, -1, -1)


def _tokens(masking, batch, grid, generator):
    return _checkerboard(*grid).bool().expand(batch, -1, -1)


@contextmanager
def fixed_choices():
    """Every random choice of a step is one that does not depend on the size of the batch."""

    def draw(self, number, generator, decision=None):
        return [PhotometricDraw(jitter=[('brightness', 1.1)], sigma=0.5)] * number

    with (
        mock.patch('udass.uda.mixing.classmix.choose_classes', _first_classes),
        mock.patch('udass.uda.mixing.quadmix.choose_classes', _first_classes),
        mock.patch('udass.uda.masking.BlockMasking.draw', _blocks),
        mock.patch('udass.uda.masking.TokenMasking.draw', _tokens),
        mock.patch.object(HRDAEncoderDecoder, 'draw_crop_box', lambda *args: Box(16, 48, 16, 48)),
        mock.patch.object(PhotometricChange, 'draw', draw),
        mock.patch.object(StrongAugmentation, 'draw', draw),
    ):
        yield


def deterministic(segmentor: dict) -> dict:
    """The segmentor without dropout and drop-path."""
    segmentor = copy.deepcopy(segmentor)
    if 'drop_rate' not in segmentor['backbone']:
        # Foundation models and their decoders have none.
        return segmentor
    segmentor['backbone'].update(drop_rate=0.0, drop_path_rate=0.0)
    head = segmentor['decode_head']
    for each in (head['head'], head['scale_attention']) if 'head' in head else (head,):
        each['dropout_ratio'] = 0.0
    return segmentor


def without_batch_norm(module: nn.Module) -> None:
    """Batch norms become norms of single samples."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, nn.GroupNorm(1, child.num_features))
        else:
            without_batch_norm(child)


def build_case(name: str, **components: dict):
    """The adapter of a case; ``components`` replace some of its configs."""
    init_default_scope('mmseg')
    own, segmentor = CASES[name]
    components = {**copy.deepcopy(own), **components}
    if components.get('pseudo_labels', {}).get('type') == 'ConfidencePseudoLabels':
        # About half of the pixels, and not equally many on the ranks.
        components['pseudo_labels'] = {**components['pseudo_labels'], 'threshold': 0.4}
    if 'rescale' in components.get('cross_frame', {}):
        components['cross_frame'] = {**components['cross_frame'], 'rescale': (0.9, 0.9)}
    if 'flip_probability' in components.get('pseudo_labels', {}):
        components['pseudo_labels'] = {**components['pseudo_labels'], 'flip_probability': 1.0}
    model, _ = build(components, deterministic(segmentor))
    for network in (model.student, model.teacher, model.imagenet):
        if network is not None:
            without_batch_norm(network)
            if network is not model.student:
                network.requires_grad_(False)
            prepare(network)
            if model.masking is not None and hasattr(network.backbone, 'layers'):
                move_first_bias(network)
    if model.imagenet is not None:
        move_anchors(model.imagenet)
    return model.double()


def prepare(network: nn.Module) -> None:
    """Scores that differ, so that some pixels are confident and others are not."""
    for name, value in network.named_parameters():
        if name.endswith('conv_seg.weight'):
            value.data.mul_(60)


def move_first_bias(network: nn.Module) -> None:
    """Masked pixels are zero. With a bias of zero, the norm behind it would divide by nothing but its eps, and the
    first step would make the bias a hundred times as large as anything that the images add to it."""
    bias = network.backbone.layers[0][0].projection.bias
    bias.data.copy_(torch.linspace(-1, 1, len(bias)))


def move_anchors(imagenet: nn.Module) -> None:
    """At the start student and ImageNet network agree, and the direction of their distance is rounding noise."""
    generator = torch.Generator().manual_seed(0)
    norm = imagenet.backbone.layers[3][2]
    norm.weight.data.add_(torch.rand(norm.weight.shape, generator=generator))


class RecordingOptimWrapper(OptimWrapper):
    """Keeps the gradients of the last step."""

    def zero_grad(self, **kwargs):
        self.gradients = [
            None if value.grad is None else value.grad.clone()
            for group in self.optimizer.param_groups
            for value in group['params']
        ]
        super().zero_grad(**kwargs)


def optimizers(model):
    """SGD for each trained part."""
    names = (
        [
            name
            for name in ('student', 'adaptation_loss')
            if any(value.requires_grad for value in getattr(model, name, None).parameters())
        ]
        if model.adaptation_loss is not None
        else ['student']
    )
    wrappers = {name: RecordingOptimWrapper(torch.optim.SGD(trained(model, name), lr=0.1)) for name in names}
    return OptimWrapperDict(**wrappers) if len(wrappers) > 1 else wrappers['student'], wrappers


def run_case(name: str, wrap=lambda model: model, data=joined_domains, steps: int = STEPS, **components: dict) -> dict:
    """Trains a case for some steps; returns the state, the last gradients and all logs."""
    model = build_case(name, **components)
    on_clips = isinstance(model.student, FlowGuidedHRDAEncoderDecoder)
    wrapped = wrap(model)
    optimizer, wrappers = optimizers(model)
    frames = 4 if isinstance(model, VideoAdapter) else 2 if on_clips else 1
    logs = []
    with fixed_choices():
        for seed in range(steps):
            batches = data(seed, frames=frames)
            if model.mixing is None or model.mixing.number_of_mixes == 0:
                batches.pop('long_tail')
            logs.append({key: float(value) for key, value in wrapped.train_step(batches, optimizer).items()})
    state = {key: value for key, value in model.state_dict().items() if isinstance(value, torch.Tensor)}
    return {'state': state, 'logs': logs, 'gradients': {key: wrapper.gradients for key, wrapper in wrappers.items()}}


def several(model):
    """The adapter for several processes, as the runner wraps it."""
    checkpoint_without_reentry(model)
    return SeparateDataParallel(model, find_unused_parameters=model.leaves_parameters_out)


def accumulating(model):
    """The adapter, whose batch goes through the networks in two parts."""
    model.accumulative_counts = 2
    return model


def join(rank: int, folder: str) -> None:
    """Makes this process one of ``RANKS``."""
    torch.set_num_threads(1)
    # mmengine reports how each parameter was initialised.
    logging.disable(logging.INFO)
    dist.init_process_group('gloo', init_method=f'file://{folder}/meeting', rank=rank, world_size=RANKS)


def rank_steps(rank: int, folder: str) -> None:
    """What each process of the comparison does; results go to ``<folder>/<case>_<rank>.pth``."""
    join(rank, folder)

    def data(seed, frames):
        return domains(seed, rank, frames)

    def unsynchronised(model):
        wrapped = several(model)
        # DDP then leaves the gradients of each rank as they are.
        model.student.require_backward_grad_sync = False
        return wrapped

    for name in CASES:
        torch.save(run_case(name, several, data), Path(folder) / f'{name}_{rank}.pth')
    for name in ACCUMULATED:
        result = run_case(name, lambda model: several(accumulating(model)), data, **UNCOUPLED)
        torch.save(result, Path(folder) / f'{name}_accumulated_{rank}.pth')
    torch.save(run_case('dacs', unsynchronised, data), Path(folder) / f'broken_{rank}.pth')
    alone = dict(pseudo_labels=dict(type='ConfidencePseudoLabels', over_ranks=False))
    torch.save(run_case('dacs', several, data, **alone), Path(folder) / f'local_share_{rank}.pth')
    alone = dict(feature_distance=dict(type='FeatureDistance', weight=1.0, over_ranks=False))
    torch.save(run_case('daformer', several, data, **alone), Path(folder) / f'local_distance_{rank}.pth')
    dist.destroy_process_group()
