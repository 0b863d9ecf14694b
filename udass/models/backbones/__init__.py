from udass.models.backbones.caffe_resnet import CaffeResNet
from udass.models.backbones.mit import MiT
from udass.models.backbones.timm import TimmBackbone
from udass.models.backbones.vit import TimmViT

__all__ = ['CaffeResNet', 'MiT', 'TimmBackbone', 'TimmViT']
