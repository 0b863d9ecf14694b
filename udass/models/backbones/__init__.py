from udass.models.backbones.caffe_resnet import CaffeResNet
from udass.models.backbones.mit import MiT
from udass.models.backbones.timm import TimmBackbone, TimmViT

__all__ = ['CaffeResNet', 'MiT', 'TimmBackbone', 'TimmViT']
