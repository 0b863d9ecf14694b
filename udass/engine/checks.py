"""Whether networks, data sets and processes fit each other."""

import torch
from mmseg.models.decode_heads import STDCHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn


def check_class_count(model: nn.Module, dataset: object) -> None:
    """Compares every segmentation head of the model with the dataset's number of classes.

    Raises:
        ValueError: a head has another number of classes.
    """
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if classes is None:
        return
    for name, head in model.named_modules():
        # Heads of edges and attention maps that all classes share have numbers of their own.
        if not isinstance(head, BaseDecodeHead) or isinstance(head, STDCHead) or name.endswith('scale_attention'):
            continue
        if head.num_classes != len(classes):
            raise ValueError(
                f'{name} has num_classes={head.num_classes}, but {type(dataset).__name__} has '
                f'{len(classes)} classes ({", ".join(classes)}). Set model.num_classes={len(classes)}, '
                'which all heads of the network follow, or choose the dataset it was made for'
            )


def check_sync_bn(kind: str | None) -> None:
    """Whether batch norm can be synchronised as asked for.

    Raises:
        ValueError: of another kind than torch's, or without a GPU.
    """
    if kind not in (None, 'torch'):
        raise ValueError(f"sync_bn is 'torch' or None (mmcv's needs its compiled operations); got {kind!r}")
    if kind is not None and not torch.cuda.is_available():
        raise ValueError(
            "sync_bn='torch' works on GPUs only, and there is none: leave sync_bn out. Each process then "
            'normalises with the statistics of its own batch'
        )
