"""From published weight files to this project's key names, and back out again.

Published files of one code base family are understood: SegFormer's ImageNet weights of MiT; checkpoints of DAFormer,
HRDA, MIC and UDASS, whole (``model.``, ``ema_model.``, ``imnet_model.``) or reduced to one network (``backbone.``,
``decode_head.``); UDASS's video networks; DeepLabV2's ImageNet weights from Caffe as AdaptSegNet and ADVENT publish
them (``Scale.``); and files of this project (``student.``, ``teacher.``).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from udass.models.checkpoints.key_maps import mit_to_native, mit_to_reference, segformer_head_to_mmseg
from udass.models.checkpoints.video_keys import LAYOUTS as VIDEO_LAYOUTS
from udass.models.checkpoints.video_keys import segmentor_to_video, video_to_segmentor

SOURCES = ('mit', 'daformer', 'hrda', 'mic', 'udass', 'udass-video', 'udass-video-frame', 'auto')
# Prefixes of the two branches in published training checkpoints and in ours.
_PUBLISHED = {'student': 'model.', 'teacher': 'ema_model.'}
_OURS = {'student': 'student.', 'teacher': 'teacher.'}

_STATISTICS = r'(weight|bias|running_mean|running_var|num_batches_tracked)'
_ASPP = (
    rf'fuse_layer\.(aspp_modules\.\d+(\.(depthwise|pointwise)_conv)?|bottleneck)\.(conv\.weight|bn\.{_STATISTICS})'
    rf'|fuse_layer\.(conv\.weight|bn\.{_STATISTICS})'
)
_DECODERS = re.compile(
    rf'decode_head\.((head|scale_attention)\.)?({_ASPP}'
    r'|(embed_layers|linear_c)\.\d+\.proj\.(weight|bias)'
    rf'|linear_fuse\.(conv\.weight|bn\.{_STATISTICS})|(conv_seg|linear_pred)\.(weight|bias)'
    r'|aspp_modules\.\d+\.conv\.(weight|bias))'
)
_VIDEO_PARTS = re.compile(r'fusion\.weight|auxiliary_head\.aspp_modules\.\d+\.conv\.(weight|bias)')
_RESNET = re.compile(rf'(stem\.\d|conv1|bn1|layer\d\.\d+\.(conv\d|bn\d|downsample\.\d))\.{_STATISTICS}')
_NATIVE_MIT = re.compile(r'(backbone\.)?layers\.\d\.(0|1\.\d+|2)\..*')


@dataclass(frozen=True)
class Conversion:
    """What became of a file.

    Attributes:
        weights: tensors under this project's keys: of a segmentor, or of a bare backbone.
        layout: what the file was (see `find_layout`).
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
            shown = ', '.join(keys[:3]) + (', ...' if len(keys) > 3 else '')
            lines.append(f'dropped {len(keys)} ({shown}): {reason}')
        return lines


def find_layout(keys: Iterable[str]) -> str:
    """Which kind of file has these keys.

    Returns:
        str: ``MiT weights`` or ``MiT weights, mmseg names`` or ``ResNet weights``, ``training checkpoint``,
        ``segmentor``, ``video transformer``, ``video CNN``, ``DeepLab ResNet weights``, or ``training checkpoint of
        this project``.

    Raises:
        ValueError: none of them.
    """
    keys = list(keys)

    def some(*prefixes: str) -> bool:
        return any(key.startswith(prefixes) for key in keys)

    if some('student.backbone.', 'teacher.backbone.'):
        return 'training checkpoint of this project'
    if some('model.backbone.', 'ema_model.backbone.'):
        return 'training checkpoint'
    if some('backbone.') and some('decode_head.'):
        return 'segmentor'
    if some('model.patch_embed1.') and some('decoder.'):
        return 'video transformer'
    if some('layer7.conv2d_list.'):
        return 'video CNN'
    if some('Scale.layer1.'):
        return 'DeepLab ResNet weights'
    if some('patch_embed1.'):
        return 'MiT weights'
    if some('layers.0.0.projection.'):
        return 'MiT weights, mmseg names'
    if some('layer1.0.conv1.'):
        return 'ResNet weights'
    begins = ', '.join(sorted({key.split('.')[0] for key in keys})[:10])
    raise ValueError(
        f'these are no weights of a network known here; the keys begin with {begins}. Known are ImageNet '
        'weights of MiT and ResNet, and checkpoints of DAFormer, HRDA, MIC, UDASS and this project'
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
    if source not in SOURCES or branch not in _OURS:
        raise ValueError(
            f'source is one of {", ".join(SOURCES)}, branch is student or teacher; got {source!r} and {branch!r}'
        )
    layout = find_layout(weights)
    _check_source(source, layout, weights)
    dropped: dict[str, str] = {}
    if layout in ('training checkpoint', 'training checkpoint of this project'):
        prefixes = _PUBLISHED if layout == 'training checkpoint' else _OURS
        weights = _select_branch(weights, prefixes, branch, dropped)
    elif layout in VIDEO_LAYOUTS:
        if source == 'udass-video-frame':
            weights = _single_frame(weights, dropped)
        weights = video_to_segmentor(weights, layout)
    else:
        weights = dict(weights)
    if layout.startswith(('MiT', 'ResNet', 'DeepLab')):
        weights = _backbone(weights, dropped)
    elif layout != 'training checkpoint of this project':
        weights = _segmentor(weights, layout, dropped)
    return Conversion(weights, layout, dropped)


def to_reference(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `convert` for one network: segmentor or backbone weights under the published names."""
    mit = {key: value for key, value in weights.items() if _NATIVE_MIT.fullmatch(key)}
    rest = {key: value for key, value in weights.items() if key not in mit}
    prefix = 'backbone.' if any(key.startswith('backbone.') for key in mit) else ''
    renamed = mit_to_reference({key.removeprefix(prefix): value for key, value in mit.items()})
    published = {**{prefix + key: value for key, value in renamed.items()}, **rest}
    return segmentor_to_video(published) if 'fusion.weight' in published else published


def to_mmseg(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Weights of one network of this project for plain MMSegmentation, and what to know when using them."""
    notes = []
    weights = dict(weights)
    if any(_NATIVE_MIT.fullmatch(key) for key in weights):
        notes.append(
            'MixVisionTransformer of MMSegmentation has LayerNorm eps 1e-6 throughout; these weights were '
            'trained with 1e-5 in the patch-embedding and key-reduction norms (scores differ by about 1e-5)'
        )
    head = {key.removeprefix('decode_head.'): value for key, value in weights.items() if key.startswith('decode_head.')}
    if 'linear_pred.weight' in head:
        weights = {key: value for key, value in weights.items() if not key.startswith('decode_head.')}
        weights.update({f'decode_head.{key}': value for key, value in segformer_head_to_mmseg(head).items()})
        notes.append(
            f"decode_head: dict(type='SegformerHead', channels={len(head['linear_fuse.bn.weight'])}, "
            'act_cfg=None, ...): the original embeds without activation'
        )
    elif 'fusion.weight' in weights:
        notes.append(
            "MMSegmentation has no network of two frames: add custom_imports=dict(imports=['udass.all_modules']) to "
            "the config and use type='FlowGuidedEncoderDecoder'"
        )
    elif head:
        notes.append(
            "MMSegmentation has no such decode head: add custom_imports=dict(imports=['udass.all_modules']) to the "
            'config to load the whole network; without it, only the backbone fits'
        )
    return weights, notes


def _check_source(source: str, layout: str, weights: Mapping[str, Tensor]) -> None:
    trained = ('training checkpoint', 'segmentor')
    expected = {
        'mit': ('MiT weights', 'MiT weights, mmseg names'),
        'udass-video': tuple(VIDEO_LAYOUTS),
        'udass-video-frame': tuple(VIDEO_LAYOUTS),
    }
    if source == 'auto':
        return
    wanted = expected.get(source, trained)
    if layout not in wanted:
        raise ValueError(f'--from {source} expects: {" or ".join(wanted)}; the keys are those of: {layout}')
    # A fixed attention has no weights.
    two_scales = any('decode_head.head.' in key for key in weights)
    if source == 'hrda' and not two_scales:
        raise ValueError('--from hrda, but the network has no decoder of two scales: use --from daformer')
    if source == 'daformer' and two_scales:
        raise ValueError('--from daformer, but the network has a decoder of two scales: use --from hrda or mic')


def _select_branch(
    weights: Mapping[str, Tensor], prefixes: Mapping[str, str], branch: str, dropped: dict[str, str]
) -> dict[str, Tensor]:
    reasons = {prefix: f'the {name}, not asked for (--branch {name})' for name, prefix in prefixes.items()}
    for copy in ('imnet_model.', 'imagenet.'):
        reasons[copy] = 'frozen ImageNet copy of the feature distance, made again from the ImageNet weights'
    wanted, selected, unknown = prefixes[branch], {}, []
    for key, value in weights.items():
        prefix = key.split('.')[0] + '.'
        if prefix == wanted:
            selected[key.removeprefix(wanted)] = value
        elif prefix in reasons:
            dropped[key] = reasons[prefix]
        elif prefixes is _OURS:
            dropped[key] = 'part of the training step (templates, random streams), not of a network'
        else:
            unknown.append(key)
    if not selected:
        raise ValueError(
            f'the file has no {branch} (keys {wanted}*); it has '
            f'{", ".join(sorted({key.split(".")[0] for key in weights}))}'
        )
    _refuse(unknown)
    return selected


def _single_frame(weights: Mapping[str, Tensor], dropped: dict[str, str]) -> dict[str, Tensor]:
    selected = {}
    for key, value in weights.items():
        if key.endswith('sf_layer.weight'):
            dropped[key] = 'fusion of the scores of two frames; the image network has one (--from udass-video keeps it)'
        else:
            selected[key] = value
    return selected


def _backbone(weights: dict[str, Tensor], dropped: dict[str, str]) -> dict[str, Tensor]:
    selected = {}
    for key, value in weights.items():
        name = key.removeprefix('Scale.')
        if name.startswith(('head.', 'fc.')):
            dropped[key] = 'ImageNet classifier'
        elif name.startswith('layer5.') and name != key:
            dropped[key] = "decoder for the classes of DeepLab's authors"
        else:
            selected[name] = value
    if any(key.startswith('patch_embed1.') for key in selected):
        return mit_to_native(selected)
    _refuse([key for key in selected if not _NATIVE_MIT.fullmatch(key) and not _RESNET.fullmatch(key)])
    return selected


def _segmentor(weights: dict[str, Tensor], layout: str, dropped: dict[str, str]) -> dict[str, Tensor]:
    published_mit = 'backbone.patch_embed1.proj.weight' in weights
    published_segformer = published_mit and 'decode_head.linear_pred.weight' in weights
    # A single network without the published MiT may be any of ours: what does not fit shows when it is loaded.
    known_only = published_mit or layout != 'segmentor'
    backbone, rest, unknown = {}, {}, []
    for key, value in weights.items():
        if published_segformer and key.startswith('decode_head.conv_seg.'):
            dropped[key] = 'left over from the base class; the SegFormer head classifies with linear_pred'
        elif published_mit and key.startswith('backbone.'):
            backbone[key.removeprefix('backbone.')] = value
        elif not known_only or _is_known(key, layout):
            rest[key] = value
        else:
            unknown.append(key)
    _refuse(unknown)
    return {**{f'backbone.{key}': value for key, value in mit_to_native(backbone).items()}, **rest}


def _is_known(key: str, layout: str) -> bool:
    return bool(
        _DECODERS.fullmatch(key)
        or _RESNET.fullmatch(key.removeprefix('backbone.'))
        or layout in VIDEO_LAYOUTS
        and _VIDEO_PARTS.fullmatch(key)
    )


def _refuse(unknown: list[str]) -> None:
    if unknown:
        raise ValueError(
            f'{len(unknown)} keys have no known place: {", ".join(unknown)}. They are not left out '
            'silently; remove them from the file if they are of no use'
        )
