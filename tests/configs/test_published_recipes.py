"""The published configs against the rows of docs/published_recipes.json, and the page that is made from them."""

import pytest
from mmengine.config import Config

from tests.configs import recipes
from tests.configs.recipes import CONFIGS, NAMES, holds, ours, problems, rows, split_source

DATA = recipes.read()
ALL_ROWS = [(section, row) for section in DATA['sections'] for row in section['rows']]


@pytest.mark.parametrize('name', NAMES)
def test_every_value_is_that_of_its_row(name):
    found = problems(name, Config.fromfile(CONFIGS / f'{name}.py'), DATA)
    assert not found, '\n'.join(
        ['change docs/published_recipes.json, and write its page with `python -m tests.configs.recipes`:', *found]
    )


def change(config):
    config.model.masking.ratio = 0.5


def change_in_a_pipeline(config):
    config.train_dataloader.source.dataset.pipeline[2].scale = (2048, 1024)


def add(config):
    config.model.mixing.intra_source = False


def add_a_component(config):
    config.optim_wrapper.clip_grad = dict(max_norm=1.0)


def add_a_transform(config):
    config.train_dataloader.target.dataset.pipeline.insert(1, dict(type='PhotoMetricDistortion'))


def remove(config):
    config.model.feature_distance = None


def leave_to_the_default(config):
    del config.train_cfg.source_sampling['crop_fraction']


@pytest.mark.parametrize(
    'edit, key',
    [
        (change, 'model.masking.ratio'),
        (change_in_a_pipeline, 'train_dataloader.source.dataset.pipeline.Resize.scale'),
        (add, 'model.mixing.intra_source'),
        (add_a_component, 'optim_wrapper.clip_grad.max_norm'),
        (add_a_transform, 'train_dataloader.target.dataset.pipeline'),
        (remove, 'model.feature_distance.weight'),
        (leave_to_the_default, 'train_cfg.source_sampling.crop_fraction'),
    ],
)
def test_an_edit_without_its_row_is_found(edit, key):
    config = Config.fromfile(CONFIGS / 'gta2cs_quadmix.py')
    edit(config)
    assert any(f': {key} ' in line for line in problems('gta2cs_quadmix', config, DATA))


def explain(section, row):
    """What is wrong with a row, None if nothing is."""
    unknown = set(row) - {'setting', 'key', 'published', 'source', 'ours', 'reason', 'same'}
    if unknown:
        return f'unknown fields {sorted(unknown)}'
    if 'note' in section:
        return None if set(row) == {'setting', 'key', 'ours'} else 'nothing is published: setting, key and ours'
    for place in row['source'] if isinstance(row['source'], list) else [row['source']]:
        name, path, line = split_source(place)
        if name not in DATA['sources'] or not path or int(line) < 1:
            return f'{place} is no place in one of the sources'
    said = {'reason', 'same'} & set(row)
    if 'ours' not in row or row['ours'] == row['published']:
        return 'equal values do not differ for a reason' if 'reason' in said else None
    return None if len(said) == 1 else 'say why ours differs, or why it is the same after all'


def test_a_row_says_where_it_is_from_and_why_it_differs():
    found = [
        f'{section["title"]}, {row["setting"]}: {message}'
        for section, row in ALL_ROWS
        if (message := explain(section, row))
    ]
    assert not found, '\n'.join(found)


def test_every_row_holds_for_a_config_and_is_written_once():
    for section in DATA['sections']:
        keys = [row['key'] for row in section['rows'] if 'key' in row]
        assert len(keys) == len(set(keys)), section['title']
    used = {id(row) for name in NAMES for row in rows(name, DATA['sections']).values()}
    for section, row in ALL_ROWS:
        assert any(holds(section, name) for name in NAMES), f'{section["title"]} holds for no config'
        assert 'key' not in row or id(row) in used, f'{section["title"]}: later rows replace {row["key"]} everywhere'


def test_the_rows_of_a_config_are_those_of_its_files():
    expected = rows('gta2cs_quadmix_cnn', DATA['sections'])
    assert ours(expected['model.mixing.start_iter']) == 7000
    assert ours(expected['model.student.backbone.depth']) == 101
    assert ours(expected['optim_wrapper.optimizer.lr']) == 6e-5
    assert 'optim_wrapper.paramwise_cfg.norm_decay_mult' not in expected


def test_the_page_is_made_from_the_rows():
    assert recipes.PAGE.read_text(encoding='utf-8') == recipes.page(DATA), 'run `python -m tests.configs.recipes`'
