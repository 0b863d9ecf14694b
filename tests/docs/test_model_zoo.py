"""The index of the configs, model-index.yml and the page of the model zoo are what their command writes."""

import pytest
import yaml
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from tests.docs.model_zoo import MODEL_INDEX, PAGE, costs, index, model_index, page
from udass.engine.config import load_config
from udass.io.published import CONFIGS, read_index

REMEDY = 'run python -m tests.docs.model_zoo'


@MODELS.register_module()
class PointwiseNet(nn.Sequential):
    """A network that can be counted by hand."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 2, 1, bias=False))

    def inference(self, frames, metas):
        return self(frames)


@pytest.mark.slow
def test_the_index_has_every_config_and_its_network():
    assert index() == read_index(), REMEDY


def test_no_config_is_missing():
    names = {path.stem for path in CONFIGS.glob('*.py') if not path.stem.startswith('benchmark_')}
    assert read_index().keys() == names, REMEDY


def test_the_files_show_the_index():
    assert MODEL_INDEX.read_text(encoding='utf-8') == model_index(read_index()), REMEDY
    assert PAGE.read_text(encoding='utf-8') == page(read_index()), REMEDY


def test_model_index_names_the_configs_and_the_papers():
    content = yaml.safe_load(MODEL_INDEX.read_text(encoding='utf-8'))
    collections = {collection['Name'] for collection in content['Collections']}
    for model in content['Models']:
        assert (CONFIGS.parent / model['Config']).is_file() and model['In Collection'] in collections


@pytest.mark.parametrize('name', ['streets_quadmix', 'gta2cs_dacs'])
def test_stored_costs_are_those_of_the_network(name):
    entry = read_index()[name]
    assert costs(load_config(name)) == (entry['parameters'], entry['flops'])


def test_the_costs_of_a_network_counted_by_hand():
    """A convolution 1x1 from 3 to 8 channels and a classifier from 8 to 2, without bias, on 4x6 pixels."""
    config = Config(
        dict(
            model=dict(student=dict(type='PointwiseNet')),
            test_dataloader=dict(dataset=dict(pipeline=[dict(type='Resize', scale=(6, 4))])),
        )
    )
    assert costs(config) == (3 * 8 + 8 * 2, 2 * 4 * 6 * (3 * 8 + 8 * 2))
