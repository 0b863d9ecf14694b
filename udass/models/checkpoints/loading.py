"""Loading weights completely or not at all."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.logging import print_log
from mmseg.registry import WEIGHT_INITIALIZERS
from torch import Tensor, nn

from udass.models.checkpoints.conversion import convert
from udass.models.checkpoints.reading import local_file, read_weights

_LISTED = 10


def load_strictly(module: nn.Module, weights: Mapping[str, Tensor], origin: str | Path) -> None:
    """Fill every parameter and buffer of a module, or raise a ValueError that counts and names keys that are missing,
    unknown or of another shape, and weights that are not finite; nothing is loaded then.

    Args:
        weights: under the module's own keys. Counters of batch norm (``num_batches_tracked``), which files from before
            torch 0.4.1 lack, may be missing.
        origin: where the weights come from, for the message.
    """
    own = module.state_dict()
    counters = {key: value.new_zeros(()) for key, value in own.items() if key.endswith('num_batches_tracked')}
    weights = {**counters, **weights}
    # Extra states (counters, templates) have no shape.
    both = [key for key in own if key in weights and isinstance(own[key], Tensor)]
    shapes = {key: (tuple(weights[key].shape), tuple(own[key].shape)) for key in both}
    found = {
        'missing': [key for key in own if key not in weights],
        'unknown to it': [key for key in weights if key not in own],
        'of another shape': [f'{key} {one} instead of {other}' for key, (one, other) in shapes.items() if one != other],
    }
    problems = '; '.join(f'{len(keys)} {what}: {_first(keys)}' for what, keys in found.items() if keys)
    if problems:
        raise ValueError(
            f'{origin} does not fit {type(module).__name__}: {problems}. Use a file of this config (variant, head, '
            'number of classes, method)'
        )
    # Parts that are wrapped in DDP have keys without its name in state dicts.
    parameters = [key.replace('.module.', '.') for key, _ in module.named_parameters()]
    # The state of a module may leave some out, as that of `FeatureDistillation` does.
    non_finite = [key for key in parameters if key in own and not weights[key].isfinite().all()]
    if non_finite:
        count = f'{len(non_finite)} weights that are not finite'
        raise ValueError(f'{origin} holds {count}: {_first(non_finite)}. Use an older checkpoint')
    module.load_state_dict(weights, strict=True)


def read_segmentor_weights(path: str | Path, branch: str = 'student') -> dict[str, Tensor]:
    """Weights for a segmentor of this project from any file that `convert` knows, this project's own included."""
    return convert(read_weights(path), branch=branch).weights


@WEIGHT_INITIALIZERS.register_module()
class StrictPretrained:
    """Start weights that fill a backbone completely: ``init_cfg=dict(type='StrictPretrained', checkpoint=...)``.

    mmengine's ``Pretrained`` skips what does not fit and goes on with random weights, the commonest cause of bad
    numbers in this field.

    Args:
        checkpoint: path or URL of ImageNet weights (under mmseg's names or those of their authors; the classifier is
            left out), or of a whole segmentor, whose backbone is taken.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        path = local_file(self.checkpoint)
        weights = read_segmentor_weights(path)
        backbone = {key: value for key, value in weights.items() if key.startswith('backbone.')}
        if backbone:
            weights = {key.removeprefix('backbone.'): value for key, value in backbone.items()}
        load_strictly(module, weights, path)
        print_log(f'{type(module).__name__}: all {len(weights)} tensors from {path}', logger='current')


def _first(keys: list[str]) -> str:
    return ', '.join(keys[:_LISTED]) + (f', ... ({len(keys) - _LISTED} more)' if len(keys) > _LISTED else '')
