"""Low-rank adaptation (LoRA) of the linear layers of a ViT, by the peft library.

Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685).
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

_LAYER, _DOWN, _UP = '.base_layer.', '.lora_A.default.', '.lora_B.default.'


def add_lora(net: nn.Module, rank: int, alpha: int, modules: Sequence[str] = ('attn.qkv', 'attn.proj')) -> None:
    """Freeze a network, and learn a change of low rank for some of its linear layers: W x + alpha / rank * B A x. B
    starts at zero, so that the network starts as it is.

    Args:
        net: changed in place.
        rank: r of A (r, inputs) and B (outputs, r).
        alpha: factor of the change, divided by the rank.
        modules: ends of the names of the layers.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ImportError(
            "lora of the backbone needs the peft library: install it with `pip install 'peft>=0.21'`, or leave lora out"
        ) from error
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=list(modules)), net)


def plain_key(key: str) -> str | None:
    """The key that a tensor has in the network without LoRA; None for A and B, which it lacks."""
    return None if _DOWN in key or _UP in key else key.replace(_LAYER, '.')


def has_lora(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights have changes of low rank."""
    return any(_DOWN in key for key in weights)


def merge_lora(weights: Mapping[str, Tensor], rank: int, alpha: int) -> dict[str, Tensor]:
    """Weights of the network without LoRA that computes the same, from those with LoRA; see `add_lora`."""
    merged = {plain: value for key, value in weights.items() if (plain := plain_key(key)) is not None}
    for key, down in weights.items():
        if _DOWN in key:
            plain = key.replace(_DOWN, '.')
            merged[plain] = merged[plain] + alpha / rank * (weights[key.replace(_DOWN, _UP)] @ down)
    return merged
