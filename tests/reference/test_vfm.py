"""VFM-UDA++'s network, losses, distillation and two-view labels against the published code's numbers."""

import json

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import nn

from tests.reference.golden import Golden, assert_close
from tests.reference.networks import golden_directory
from udass.models.backbones.vit_adapter import ViTAdapter
from udass.models.checkpoints import convert
from udass.models.checkpoints.key_maps import vfm_to_segmentor
from udass.models.heads.pyramid_head import PyramidHead
from udass.models.losses.feature_distillation import FeatureDistillation

CHANNELS = 384
FROZEN = dict(
    type='TimmViT', name='vit_small_patch14_reg4_dinov2.lvd142m', out_indices=(11,), stride=14, pretrained=False
)


class Case:
    """The golden's networks, inputs and expected numbers."""

    def __init__(self) -> None:
        self.golden = Golden(golden_directory())
        self.expected = self.golden.load('vfmudapp_vits14')
        self.network = nn.Module()
        self.network.backbone = ViTAdapter('vit_small_patch14_dinov2.lvd142m', pretrained=False)
        self.network.decode_head = PyramidHead([CHANNELS] * 4, num_classes=19)
        published = {f'network.{key}': value for key, value in self.weights('', 'network.').items()}
        self.network.load_state_dict(convert(published, source='vfm').weights)
        self.distillation = FeatureDistillation(FROZEN, CHANNELS, weight=1.0)
        head = self.weights('head_', 'network_feature_head.')
        self.distillation.head.load_state_dict({key.removeprefix('feat_project.'): head[key] for key in head})
        frozen = self.weights('extractor_', 'network_feature_extractor.')
        frozen = {key.removeprefix('encoder.'): value for key, value in frozen.items()}
        net = self.distillation.frozen.net
        net.load_state_dict(checkpoint_filter_fn(frozen, net))
        self.size = tuple(self.expected['size'].tolist())
        name = f'vfm{self.golden.tag}'
        self.images = torch.from_numpy(self.golden.formula.image(f'{name}/img', (2, 3, *self.size)))
        self.labels = torch.from_numpy(self.golden.formula.labels(f'{name}/gt', (2, *self.size), 19))
        self.pixel_weights = torch.from_numpy(self.golden.formula.uniform(f'{name}/weight', (2, *self.size)))
        self.start = {key: value.clone() for key, value in self.network.state_dict().items()}

    def weights(self, kind: str, prefix: str) -> dict[str, torch.Tensor]:
        keys, shapes = self.expected[f'{kind}keys'].tolist(), self.expected[f'{kind}shapes'].tolist()
        formula = self.golden.formula.weight
        pairs = zip(keys, map(json.loads, shapes), strict=True)
        return {key: torch.from_numpy(formula(prefix + key, shape)) for key, shape in pairs}

    def run(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
        """Features, and logits at the size of the images."""
        features = self.network.backbone(images)
        logits = self.network.decode_head(features)
        return features, F.interpolate(logits, size=self.size, mode='bilinear', align_corners=False)


@pytest.fixture(scope='module')
def case():
    return Case()


@pytest.fixture()
def network(case):
    """The network with the stored running statistics, which passes in train mode move."""
    case.network.load_state_dict(case.start)
    return case.network


@torch.no_grad()
def test_features_and_logits(case, network):
    network.eval()
    features, logits = case.run(case.images)
    for level, feature in enumerate(features, start=1):
        assert_close(feature[:, ::8, ::4, ::4], case.expected[f'feat{level}'])
    assert_close(logits[:, :, ::4, ::4], case.expected['logits'])


def test_frozen_features(case):
    assert_close(case.distillation.targets(case.images)[:, ::8, ::4, ::4], case.expected['frozen'])


def test_losses_and_gradient_norms(case, network):
    network.train()
    network.zero_grad()
    features, logits = case.run(case.images)
    source = F.cross_entropy(logits, case.labels, ignore_index=255)
    per_pixel = F.cross_entropy(logits, case.labels, ignore_index=255, reduction='none')
    weighted = (per_pixel * case.pixel_weights).mean()
    distillation = case.distillation(features[-1], case.distillation.targets(case.images))
    for name, loss in (('source', source), ('weighted', weighted), ('distillation', distillation)):
        assert loss.item() == pytest.approx(float(case.expected[f'loss/{name}']), rel=1e-4), name
    (source + weighted + 0.1 * distillation).backward()
    norms = {name: parameter.grad.norm().item() for name, parameter in network.named_parameters()}
    for name, parameter in case.distillation.head.named_parameters():
        norms[f'network_feature_head.feat_project.{name}'] = parameter.grad.norm().item()
    names = case.expected['grad_norm_names'].tolist()
    names = [name.removeprefix('network.') for name in names]
    stored = vfm_to_segmentor(dict(zip(names, case.expected['grad_norms'].tolist(), strict=True)))
    assert norms == pytest.approx(stored, rel=5e-3, abs=1e-6)


@torch.no_grad()
def test_labels_of_two_views(case, network):
    network.train()
    views = [case.run(case.images)[1], case.run(case.images.flip(-1))[1].flip(-1)]
    probabilities = torch.stack([view.softmax(dim=1) for view in views]).mean(dim=0)
    confidence, labels = probabilities.max(dim=1)
    assert torch.equal(labels[:, ::4, ::4], torch.from_numpy(case.expected['pseudo/label']))
    weight = (confidence >= float(case.expected['pseudo/threshold'])).double().mean().item()
    assert weight == pytest.approx(float(case.expected['pseudo/weight']), abs=1e-6)
