from udass.models.backbones.caffe_resnet import CaffeResNet
from udass.models.backbones.dinov2 import DINOv2
from udass.models.backbones.mit import MiT
from udass.models.backbones.timm import TimmBackbone, TimmViT
from udass.models.backbones.vit_adapter import ViTAdapter
