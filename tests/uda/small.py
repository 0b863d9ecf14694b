"""Tiny adapters and batches for the tests of the step."""

import copy

import torch
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from timm.models import register_model
from timm.models.vision_transformer import VisionTransformer

from udass.uda import VideoAdapter

CLASSES = ('road', 'sky', 'car', 'pole')
_PIXELS = dict(type='PixelPreprocessor', mean=[127.5] * 3, std=[60.0] * 3, bgr_to_rgb=True)
_BACKBONE = dict(
    type='MixVisionTransformer',
    embed_dims=8,
    num_layers=[1, 1, 1, 1],
    num_heads=[1, 1, 1, 1],
    drop_rate=0.1,
    drop_path_rate=0.2,
)
_HEAD = dict(
    type='DAFormerHead',
    in_channels=[8] * 4,
    num_classes=4,
    embed_channels=8,
    channels=8,
    dilations=(1, 2),
    dropout_ratio=0.3,
)
SEGMENTOR = dict(
    type='SlidingEncoderDecoder',
    data_preprocessor=_PIXELS,
    backbone=_BACKBONE,
    decode_head=_HEAD,
    test_cfg=dict(mode='whole'),
)
HRDA = dict(
    type='HRDAEncoderDecoder',
    data_preprocessor=_PIXELS,
    backbone=_BACKBONE,
    crop_size=(32, 32),
    output_stride=4,
    test_cfg=dict(mode='whole'),
    decode_head=dict(type='HRDAHead', head=_HEAD, scale_attention=dict(_HEAD, fusion='conv')),
)
FLOW_GUIDED = dict(SEGMENTOR, type='FlowGuidedEncoderDecoder')


@register_model
def vit_4_blocks(pretrained=False, num_classes=0, global_pool='', **options):
    """As many blocks as a ViTAdapter has groups, for timm."""
    return VisionTransformer(64, 16, num_classes=0, global_pool='', embed_dim=64, depth=4, num_heads=2)


# Foundation models under their decoders; all pixels of pseudo-labels count in the average, labelled ones of the source.
_VALID = dict(type='ValidCrossEntropy', weighted_over_all=True)
VIT = dict(
    SEGMENTOR,
    backbone=dict(type='DINOv2', name='test_vit', pretrained=False, multiple=16, mask_token=True),
    decode_head=dict(type='UpscalingHead', in_channels=64, num_classes=4, loss_decode=_VALID),
)
VIT_ADAPTER = dict(
    SEGMENTOR,
    backbone=dict(type='ViTAdapter', name='vit_4_blocks', pretrained=False),
    decode_head=dict(type='PyramidHead', in_channels=[64] * 4, num_classes=4, loss_decode=_VALID),
)
TEACHER = dict(ema=dict(type='EMA', alpha=0.9), pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.3))
DAFORMER = dict(**TEACHER, mixing=dict(type='ClassMix'), feature_distance=dict(type='FeatureDistance'))
MIC = dict(**DAFORMER, masking=dict(type='BlockMasking', block_size=8))
QUADMIX = dict(MIC, mixing=dict(type='QuadMix'))
_CHANGE = dict(type='PhotometricChange', operations='torchvision', per_image=True)
VFMUDA = dict(
    ema=dict(type='EMA', alpha=0.9, after_step=True),
    pseudo_labels=dict(type='ConfidencePseudoLabels', threshold=0.3, two_views=True),
    mixing=dict(type='ClassMix'),
    photometric=_CHANGE,
    source_augmentation=dict(_CHANGE, brightness=0.5, grey_probability=0.3),
    target_augmentation=dict(_CHANGE, brightness=0.4, blur_probability=0.0),
    masking=dict(type='TokenMasking', ratio=0.7),
)
VFMUDAPP = dict(
    VFMUDA,
    masking=dict(type='BlockMasking', block_size=8, multiple=32),
    distillation=dict(
        type='FeatureDistillation',
        frozen=dict(type='TimmViT', name='test_vit', out_indices=(5,), stride=16, pretrained=False),
        size=(48, 48),
    ),
)
TPS = dict(
    type='VideoAdapter',
    ema=dict(type='EMA', alpha=0.0),
    pseudo_labels=dict(type='CrossFramePseudoLabels', flip_probability=0.5),
    cross_frame=dict(type='CrossFramePass', rescale=(0.8, 1.2)),
    target_augmentation=dict(type='StrongAugmentation', grey_probability=0.5),
    match_histograms=True,
)
VIDEO = dict(
    type='VideoAdapter',
    ema=dict(type='EMA', alpha=0.9),
    pseudo_labels=dict(type='CrossFramePseudoLabels'),
    cross_frame=dict(type='CrossFramePass', scale=0.2),
    mixing=dict(type='VideoQuadMix', tst_scale=0.2),
    centroid_alignment=dict(type='CentroidAlignment'),
    match_histograms=True,
)
# Components of every method, and the network that it runs on here.
METHODS = {
    'source_only': ({}, SEGMENTOR),
    'minent': (dict(adaptation_loss=dict(type='EntropyMinimization')), SEGMENTOR),
    'advseg': (dict(adaptation_loss=dict(type='AdversarialAlignment', channels=4)), SEGMENTOR),
    'dacs': (dict(**TEACHER, mixing=dict(type='ClassMix'), photometric=dict(type='PhotometricChange')), SEGMENTOR),
    'daformer': (dict(**DAFORMER, photometric=dict(type='PhotometricChange')), SEGMENTOR),
    'hrda': (dict(**DAFORMER, photometric=dict(type='PhotometricChange')), HRDA),
    'mic': (dict(**MIC, photometric=dict(type='PhotometricChange')), HRDA),
    'mic_mixed': (dict(MIC, masking=dict(type='BlockMasking', block_size=8, mode='mixed')), HRDA),
    'quadmix': (dict(**QUADMIX, photometric=dict(type='PhotometricChange')), HRDA),
    'quadmix_features': (dict(**QUADMIX, feature_mixing=dict(type='FeatureMixing')), HRDA),
    'vfmuda': (VFMUDA, VIT),
    'vfmudapp': (VFMUDAPP, VIT_ADAPTER),
    'quadmix_vfmudapp': (dict(VFMUDAPP, mixing=dict(type='QuadMix')), VIT_ADAPTER),
    'tps': (TPS, FLOW_GUIDED),
    'quadmix_video': (dict(VIDEO, feature_mixing=dict(type='FeatureMixing')), FLOW_GUIDED),
    'quadmix_video_vit': (
        dict(VIDEO, masking=VFMUDA['masking'], photometric=_CHANGE),
        dict(VIT, type='FlowGuidedEncoderDecoder'),
    ),
    'quadmix_video_cnn': (dict(VIDEO, centroid_alignment=dict(type='CentroidAlignment', intervals=2)), FLOW_GUIDED),
}


def batch(number, size=(64, 64), seed=0, block=32, **metainfo):
    """A loader batch of random images; labels in blocks."""
    random = torch.Generator().manual_seed(seed)
    inputs = [torch.randint(0, 256, (3, *size), generator=random, dtype=torch.uint8) for _ in range(number)]
    samples = []
    for _ in range(number):
        blocks = torch.randint(0, 4, (1, size[0] // block, size[1] // block), generator=random)
        sample = SegDataSample(metainfo=metainfo)
        sample.gt_sem_seg = PixelData(data=blocks.repeat_interleave(block, 1).repeat_interleave(block, 2))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def unlabelled(number, size=(64, 64), seed=1, block=32):
    """As `batch`, without labels."""
    data = batch(number, size, seed, block)
    return dict(inputs=data['inputs'], data_samples=[SegDataSample() for _ in data['inputs']])


def clips(number, frames=2, labelled=True, size=(64, 64), seed=0, **metainfo):
    """A loader batch of random clips, with a past pair if they have four frames (k = 1: frame 2 is frame 1)."""
    images = batch(number * frames, size, seed, **metainfo)
    random = torch.Generator().manual_seed(seed)
    inputs, samples = [], []
    for first in range(0, number * frames, frames):
        order = [first, first + 1, first + 1, first + 2][:frames]
        inputs.append(torch.stack([images['inputs'][i] for i in order]))
        sample = SegDataSample(metainfo=dict(metainfo, frame_paths=[f'{i}.png' for i in order]))
        sample.flow = 6 * torch.rand(frames - 1, 2, *size, generator=random) - 3
        if frames == 4:
            sample.past_flow = 6 * torch.rand(1, 2, *size, generator=random) - 3
        if labelled:
            labels = [images['data_samples'][i].gt_sem_seg.data for i in order]
            sample.gt_sem_seg = PixelData(data=torch.cat(labels))
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)


def domains(seed=0):
    """One iteration's data."""
    return dict(source=batch(2, seed=seed), target=unlabelled(2, seed=seed + 100))


def video_domains(seed=0, number=2):
    """One iteration's data of a video method."""
    return dict(source=clips(number, seed=seed), target=clips(number, frames=4, labelled=False, seed=seed + 100))


def data_of(model, seed):
    """One iteration's data of any method, with long-tail images where it pastes them."""
    mixes = 0 if model.mixing is None else model.mixing.number_of_mixes
    if isinstance(model, VideoAdapter):
        tail = {'long_tail': clips(2 * mixes * 2, seed=seed + 9, paste_class=3)} if mixes else {}
        return video_domains(seed) | tail
    tail = {'long_tail': batch(2 * mixes * 2, seed=seed + 9, paste_class=3)} if mixes else {}
    return domains(seed) | tail


def trained(model, name):
    """Parameters of an optimizer; the head of a distillation is in that of the student."""
    children = ('student', 'distillation') if name == 'student' else (name,)
    children = [getattr(model, child) for child in children if getattr(model, child) is not None]
    return [value for child in children for value in child.parameters() if value.requires_grad]


def build(components, segmentor=SEGMENTOR, **more):
    """An adapter in training, with its optimizers (SGD)."""
    torch.manual_seed(0)
    model = MODELS.build({'type': 'DomainAdapter', 'student': copy.deepcopy(segmentor), **components, **more})
    model.init_weights()
    model.use_metainfo(dict(classes=CLASSES, thing_classes=['car', 'pole'], rare_classes=[dict(name='pole')]))
    model.train()
    wrappers = {
        name: OptimWrapper(torch.optim.SGD(trained(model, name), lr=0.1))
        for name in ('student', 'adaptation_loss')
        if any(key.startswith(f'{name}.') for key in model.state_dict())
    }
    return model, OptimWrapperDict(**wrappers) if len(wrappers) > 1 else wrappers['student']
