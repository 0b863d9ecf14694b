from udass.models.backbones.timm import TimmBackbone

__all__ = ['TimmBackbone']
