"""Conversion of published weight files to this project's key names, and back; docs/checkpoints.md lists the files."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from udass.models.checkpoints.key_maps import (
    NATIVE_MIT,
    VIDEO_LAYOUTS,
    mit_to_native,
    mit_to_reference,
    segformer_head_to_mmseg,
    segmentor_to_video,
    vfm_to_segmentor,
    video_to_segmentor,
)

SOURCES = ('mit', 'daformer', 'hrda', 'mic', 'udass', 'udass-video', 'udass-video-frame', 'vfm', 'auto')
# Prefixes of student and teacher in training checkpoints.
_BRANCHES = {
    'training checkpoint': {'student': 'model.', 'teacher': 'ema_model.'},
    'VFM-UDA training checkpoint': {'student': 'network.', 'teacher': 'network_ema.'},
    'training checkpoint of this project': {'student': 'student.', 'teacher': 'teacher.'},
}
# Layout of a file and the prefixes that show it, one of each group; the first that fits counts.
_LAYOUTS: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ('training checkpoint of this project', (('student.backbone.', 'teacher.backbone.'),)),
    ('training checkpoint', (('model.backbone.', 'ema_model.backbone.'),)),
    ('VFM-UDA training checkpoint', (('network.encoder.', 'network_ema.encoder.'),)),
    ('segmentor', (('backbone.',), ('decode_head.',))),
    ('video transformer', (('model.patch_embed1.',), ('decoder.',))),
    ('video CNN', (('layer7.conv2d_list.',),)),
    ('DeepLab ResNet weights', (('Scale.layer1.',),)),
    ('MiT weights', (('patch_embed1.',),)),
    ('MiT weights, mmseg names', (('layers.0.0.projection.',),)),
    ('ResNet weights', (('layer1.0.conv1.',),)),
)
# Layouts that a source may have, where it is not a network of the DAFormer family.
_EXPECTED = {
    'mit': ('MiT weights', 'MiT weights, mmseg names'),
    'vfm': ('VFM-UDA training checkpoint',),
    'udass-video': tuple(VIDEO_LAYOUTS),
    'udass-video-frame': tuple(VIDEO_LAYOUTS),
}

_STATISTICS = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
_RESNET = re.compile(rf'(stem\.\d|conv1|bn1|layer\d\.\d+\.(conv\d|bn\d|downsample\.\d))\.{_STATISTICS}')
_DECODER = re.compile(
    r'decode_head\.((head|scale_attention)\.)?('
    rf'(fuse_layer\.(aspp_modules\.\d+(\.(depthwise|pointwise)_conv)?\.|bottleneck\.)?|linear_fuse\.)'
    rf'(conv\.weight|bn\.{_STATISTICS})'
    r'|((embed_layers|linear_c)\.\d+\.proj|conv_seg|linear_pred|aspp_modules\.\d+\.conv)\.(weight|bias))'
)
_VIDEO_PARTS = re.compile(r'fusion\.weight|auxiliary_head\.aspp_modules\.\d+\.conv\.(weight|bias)')
# The last layer of the decoders, whose outputs are the classes; HRDA's are those of its head.
_CLASSIFIERS = tuple(
    f'decode_head.{head}{layer}.weight'
    for head in ('', 'head.')
    for layer in ('conv_seg', 'linear_pred', 'aspp_modules.0.conv')
)


@dataclass(frozen=True)
class Conversion:
    """The result of converting a file.

    Attributes:
        weights: tensors under this project's keys: of a segmentor, or of a bare backbone.
        layout: the kind of file (see `find_layout`).
        dropped: key of the file to the reason why it has no place in ``weights``.
    """

    weights: dict[str, Tensor]
    layout: str
    dropped: dict[str, str]

    def summary(self) -> list[str]:
        """What was converted, and what was dropped and why, one line each."""
        lines = [f'{self.layout}: {len(self.weights)} tensors']
        for reason in dict.fromkeys(self.dropped.values()):
            keys = [key for key, why in self.dropped.items() if why == reason]
            names = ', '.join(keys[:3]) + (', ...' if len(keys) > 3 else '')
            lines.append(f'dropped {len(keys)} ({names}): {reason}')
        return lines


def find_layout(keys: Iterable[str]) -> str:
    """Which kind of file has these keys: one of the names in `_LAYOUTS`; ValueError if it is none of them."""
    keys = list(keys)
    for layout, groups in _LAYOUTS:
        if all(any(key.startswith(prefixes) for key in keys) for prefixes in groups):
            return layout
    begins = ', '.join(sorted({key.split('.')[0] for key in keys})[:10])
    raise ValueError(
        f'these are not weights of a known network; the keys begin with {begins}. Known are ImageNet weights of MiT '
        'and ResNet, and checkpoints of DAFormer, HRDA, MIC, UDASS, VFM-UDA and this project'
    )


def convert(weights: Mapping[str, Tensor], source: str = 'auto', branch: str = 'student') -> Conversion:
    """Published weights, or ours, as the weights of one network under this project's keys.

    Args:
        weights: a whole state dict.
        source: one of `SOURCES`: where the file is said to come from; ``auto`` accepts what the keys show.
            ``udass-video-frame`` takes the network for single frames out of a video network.
        branch: which network of a training checkpoint, ``student`` or ``teacher``.

    Raises:
        ValueError: an unknown source or branch, a file that does not look like the source, a branch that the file does
            not have, or keys without a known place, which are named.
    """
    if source not in SOURCES or branch not in ('student', 'teacher'):
        raise ValueError(
            f'source is one of {", ".join(SOURCES)}, branch student or teacher; got {source!r}, {branch!r}'
        )
    layout = find_layout(weights)
    _check_source(source, layout, weights)
    weights = dict(weights)
    dropped: dict[str, str] = {}
    if layout in _BRANCHES:
        weights, dropped = _select_branch(weights, layout, branch)
    elif layout in VIDEO_LAYOUTS:
        if source == 'udass-video-frame':
            reason = 'fusion of the logits of two frames, which the image network lacks (--from udass-video keeps it)'
            weights, dropped = _drop(weights, lambda key: reason if key.endswith('sf_layer.weight') else None)
        weights = video_to_segmentor(weights, layout)
    if layout == 'VFM-UDA training checkpoint':
        weights.pop('token_masking.mask_token', None)  # the encoder's, a second time
        weights = vfm_to_segmentor(weights)
        weights, unused = _drop(weights, lambda key: 'ImageNet classifier' if key.startswith('head.') else None)
        dropped |= unused
        _refuse([key for key in weights if not key.startswith(('backbone.', 'decode_head.'))])
    elif layout.startswith(('MiT', 'ResNet', 'DeepLab')):
        weights, dropped = _backbone(weights)
    elif layout != 'training checkpoint of this project':
        weights, unused = _segmentor(weights, layout)
        dropped |= unused
    return Conversion(weights, layout, dropped)


def to_reference(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `convert` for one network: segmentor or backbone weights under the published names."""
    mit = {key: value for key, value in weights.items() if NATIVE_MIT.fullmatch(key.removeprefix('backbone.'))}
    rest = {key: value for key, value in weights.items() if key not in mit}
    prefix = 'backbone.' if any(key.startswith('backbone.') for key in mit) else ''
    renamed = mit_to_reference({key.removeprefix(prefix): value for key, value in mit.items()})
    published = {**{prefix + key: value for key, value in renamed.items()}, **rest}
    return segmentor_to_video(published) if 'fusion.weight' in published else published


def to_mmseg(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights of one network of this project for plain MMSegmentation, and notes on how to use them there."""
    notes = []
    weights = dict(weights)
    if any(NATIVE_MIT.fullmatch(key.removeprefix('backbone.')) for key in weights):
        notes.append(
            'MixVisionTransformer of MMSegmentation has LayerNorm eps 1e-6 throughout; these weights were trained with '
            '1e-5 in the patch-embedding and key-reduction norms (logits differ by about 1e-5)'
        )
    head = {key.removeprefix('decode_head.'): value for key, value in weights.items() if key.startswith('decode_head.')}
    imports = "add custom_imports=dict(imports=['udass.all_modules']) to the config"
    if 'linear_pred.weight' in head:
        weights = {key: value for key, value in weights.items() if not key.startswith('decode_head.')}
        weights.update({f'decode_head.{key}': value for key, value in segformer_head_to_mmseg(head).items()})
        notes.append(
            f"decode_head: dict(type='SegformerHead', channels={len(head['linear_fuse.bn.weight'])}, "
            'act_cfg=None, ...): the original embeds without activation'
        )
    elif 'fusion.weight' in weights:
        notes.append(f"MMSegmentation has no network of two frames: {imports} and use type='FlowGuidedEncoderDecoder'")
    elif head:
        notes.append(
            f'MMSegmentation has no such decode head: {imports} to load the whole network; without it, only the '
            'backbone fits'
        )
    return weights, notes


def add_fusion(weights: Mapping[str, Tensor], previous_share: float) -> dict[str, Tensor]:
    """Weights of a flow-guided segmentor that averages the logits of two frames, from those of an image segmentor:
    ``fusion.weight`` (C, 2 C, 1, 1) is added.

    Args:
        weights: of one segmentor of single frames.
        previous_share: s in [0, 1]; the fused logits are (1 - s) times those of the current frame plus s times the
            warped ones of the previous frame. 0 is how the fusion starts in training.

    Raises:
        ValueError: the share is out of range, the weights have a fusion already, or no known decoder.
    """
    if not 0 <= previous_share <= 1:
        raise ValueError(f'the share of the previous frame is in [0, 1], got {previous_share}')
    if 'fusion.weight' in weights:
        raise ValueError('the weights are of two frames already, with a fusion.weight: leave --add-fusion out')
    classifier = next((weights[name] for name in _CLASSIFIERS if name in weights), None)
    if classifier is None:
        raise ValueError(
            f'a fusion needs the number of classes, but none of {", ".join(_CLASSIFIERS)} is there: give the weights '
            'of a whole segmentor'
        )
    unit = torch.eye(len(classifier), dtype=classifier.dtype)
    fusion = torch.cat([(1 - previous_share) * unit, previous_share * unit], dim=1)
    return {**weights, 'fusion.weight': fusion[..., None, None]}


def _check_source(source: str, layout: str, weights: Mapping[str, Tensor]) -> None:
    if source == 'auto':
        return
    expected = _EXPECTED.get(source, ('training checkpoint', 'segmentor'))
    if layout not in expected:
        raise ValueError(f'--from {source} expects: {" or ".join(expected)}; use --from auto for: {layout}')
    # A fixed attention has no weights.
    two_scales = any('decode_head.head.' in key for key in weights)
    if source == 'hrda' and not two_scales:
        raise ValueError('--from hrda, but the network has no decoder of two scales: use --from daformer')
    if source == 'daformer' and two_scales:
        raise ValueError('--from daformer, but the network has a decoder of two scales: use --from hrda or mic')


def _select_branch(weights: dict[str, Tensor], layout: str, branch: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    prefixes = _BRANCHES[layout]
    reasons = {prefix: f'the {name}, not asked for (--branch {name})' for name, prefix in prefixes.items()}
    copy = 'frozen ImageNet copy of the feature distance, made again from the ImageNet weights'
    reasons |= {'imnet_model.': copy, 'imagenet.': copy}
    reasons |= dict.fromkeys(
        ('network_feature_extractor.', 'network_feature_head.'), 'part of the feature distillation'
    )
    other = 'part of the training step (templates, random streams), not of a network'
    wanted = prefixes[branch]

    def reason(key: str) -> str | None:
        return None if key.startswith(wanted) else reasons.get(key.split('.')[0] + '.', other)

    selected, dropped = _drop(weights, reason)
    if not selected:
        found = ', '.join(sorted({key.split('.')[0] for key in weights}))
        raise ValueError(f'the file has no {branch} (keys {wanted}*); it has {found}: choose another branch')
    if layout == 'training checkpoint':
        _refuse([key for key, why in dropped.items() if why == other])
    return {key.removeprefix(wanted): value for key, value in selected.items()}, dropped


def _backbone(weights: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    def reason(key: str) -> str | None:
        if key.removeprefix('Scale.').startswith(('head.', 'fc.')):
            return 'ImageNet classifier'
        return "decoder for the classes of DeepLab's authors" if key.startswith('Scale.layer5.') else None

    selected, dropped = _drop(weights, reason)
    selected = {key.removeprefix('Scale.'): value for key, value in selected.items()}
    if any(key.startswith('patch_embed1.') for key in selected):
        return mit_to_native(selected), dropped
    _refuse([key for key in selected if not NATIVE_MIT.fullmatch(key) and not _RESNET.fullmatch(key)])
    return selected, dropped


def _segmentor(weights: dict[str, Tensor], layout: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    published_mit = 'backbone.patch_embed1.proj.weight' in weights
    dropped: dict[str, str] = {}
    if published_mit and 'decode_head.linear_pred.weight' in weights:
        reason = 'left over from the base class; the SegFormer head classifies with linear_pred'
        weights, dropped = _drop(weights, lambda key: reason if key.startswith('decode_head.conv_seg.') else None)
    mit = {key: value for key, value in weights.items() if published_mit and key.startswith('backbone.')}
    rest = {key: value for key, value in weights.items() if key not in mit}
    # A single network without the published MiT may be any of ours: what does not fit shows when it is loaded.
    if published_mit or layout != 'segmentor':
        _refuse([key for key in rest if not _is_known(key, layout)])
    native = mit_to_native({key.removeprefix('backbone.'): value for key, value in mit.items()})
    return {**{f'backbone.{key}': value for key, value in native.items()}, **rest}, dropped


def _drop(
    weights: Mapping[str, Tensor], reason: Callable[[str], str | None]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The weights for which there is no reason to drop them, and the reasons for the others by key."""
    dropped = {key: why for key in weights if (why := reason(key)) is not None}
    return {key: value for key, value in weights.items() if key not in dropped}, dropped


def _is_known(key: str, layout: str) -> bool:
    known = _DECODER.fullmatch(key) or _RESNET.fullmatch(key.removeprefix('backbone.'))
    return bool(known or layout in VIDEO_LAYOUTS and _VIDEO_PARTS.fullmatch(key))


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys have no known place: {", ".join(unknown)}. They are not left out silently; remove '
            'them from the file if they are of no use'
        )
