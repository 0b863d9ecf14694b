from udass.models.backbones.mit import MiT
from udass.models.backbones.timm import TimmBackbone
from udass.models.backbones.vit import TimmViT

__all__ = ['MiT', 'TimmBackbone', 'TimmViT']
