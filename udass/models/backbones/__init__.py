from udass.models.backbones.mit import MiT
from udass.models.backbones.timm import TimmBackbone

__all__ = ['MiT', 'TimmBackbone']
