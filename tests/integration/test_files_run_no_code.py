"""Configs, folders and data sets from others run no code; `test_checkpoints_run_no_code.py` says how that is seen."""

import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.fileio import load
from mmseg.registry import DATASETS, MODELS

from tests.cli.calls import call
from tests.engine.toys import build_runner, toy_config
from tests.integration.bad_input import CONFIGS, Harmful, Place, touch
from tests.visualization.report.runs import write_log
from udass.cli import convert, report
from udass.cli import test as test_tool
from udass.cli import train as train_tool
from udass.datasets import class_statistics
from udass.engine.checkpoint import resumable_checkpoint
from udass.engine.config import load_config
from udass.engine.config_files import open_test_dataset, read_config
from udass.inference import Segmenter
from udass.io.settings import parse_settings

# ------------------------------------------------------------------ configs that are data

DATA_CONFIGS = {
    'object.yaml': 'model: !!python/object/apply:os.system ["touch {mark}"]\n',
    'name.yaml': 'model: !!python/name:harmful_module.Thing\n',
    'module.yml': 'model: !!python/module:harmful_module\n',
    'type.yaml': 'model: {{type: os.system, command: touch {mark}}}\n',
    'nested.yaml': 'model: {{type: ResNet, plugins: [[{{cfg: {{type: harmful_module.Thing}}}}]]}}\n',
    'bare.yaml': 'model: {{type: harmful_module}}\n',
    'imports.yaml': 'custom_imports: {{imports: [harmful_module]}}\n',
    'one_import.yaml': 'custom_imports: {{imports: harmful_module}}\n',
    'base.yaml': '_base_: [program.py]\n',
    'base_of_base.yaml': '_base_: below.yaml\n',
    'base_outside.yaml': '_base_: {configs}/../../{folder}/program.py\n',
    'base_of_a_package.yaml': "_base_: ['harmful_module::program.py']\n",
    'made_key.yaml': '"{{{{$NOTHING:_base_}}}}": program.py\n',
    'runner.yaml': 'runner_type: harmful_module.Thing\n',
    'constructor.yaml': 'optim_wrapper: {{constructor: harmful_module.Thing, optimizer: {{type: SGD, lr: 0.1}}}}\n',
    'collate.yaml': 'test_dataloader: {{dataset: {{type: GTA}}, collate_fn: {{type: harmful_module.Thing}}}}\n',
    'expression.yaml': 'custom_hooks: [{{type: RFSearchHook, op: "Conv2d or harmful_module.Thing"}}]\n',
    'client.yaml': 'val_dataloader: {{dataset: {{type: GTA, backend_args: {{backend: memcached, sys_path: /}}}}}}\n',
    'scope.yaml': 'default_scope: harmful_module\n',
    'type.json': '{{"model": {{"type": "os.system", "command": "touch {mark}"}}}}',
    'imports.json': '{{"custom_imports": {{"imports": ["harmful_module"]}}}}',
    'base.json': '{{"_base_": ["program.py"]}}',
}


@pytest.mark.parametrize('name', DATA_CONFIGS)
def test_a_data_file_runs_no_code(name, image_run, tmp_path, mark):
    (tmp_path / 'program.py').write_text('import harmful_module\nmodel = dict()\n')
    (tmp_path / 'below.yaml').write_text('_base_: program.py\n')
    path = tmp_path / name
    path.write_text(DATA_CONFIGS[name].format(mark=mark, configs=CONFIGS, folder=str(tmp_path).lstrip('/')))
    checkpoint = str(image_run[1])
    refused = pytest.raises(ValueError, match=name)
    with refused:
        load_config(path)
    with refused:
        Segmenter(path, checkpoint)
    with refused:
        call(test_tool, path, checkpoint)
    with refused:
        call(train_tool, path)
    with refused:
        convert.check(str(path), {})


def test_a_data_file_is_a_config(tmp_path):
    (tmp_path / 'a.yaml').write_text(
        f'_base_: {CONFIGS}/streets_quadmix.py\ntrain_cfg: {{max_iters: 7}}\nmodel: {{student: {{pretrained: null}}}}\n'
    )
    (tmp_path / 'b.json').write_text(json.dumps({'_base_': 'a.yaml', 'train_cfg': {'val_interval': 7}}))
    config, program = load_config(tmp_path / 'b.json'), load_config(CONFIGS / 'streets_quadmix.py')
    assert config.train_cfg == {**program.train_cfg, 'max_iters': 7, 'val_interval': 7}
    assert config.train_dataloader == program.train_dataloader
    # As mmengine writes it.
    Config(dict(crop=(3, 4), nested=[dict(a=(1,))])).dump(tmp_path / 'c.yaml')
    assert read_config(tmp_path / 'c.yaml').to_dict() == dict(crop=(3, 4), nested=[dict(a=(1,))])


def test_mmengine_reads_no_pickles(tmp_path, mark):
    path = tmp_path / 'weights.pkl'
    path.write_bytes(pickle.dumps(Harmful(mark)))
    with pytest.raises(ValueError, match='a pickle can run any code'):
        load(path)
    with pytest.raises(ValueError, match='a pickle can run any code'):
        MODELS.build(dict(type='CrossEntropyLoss', class_weight=str(path)))


# ------------------------------------------------------------------ folders of runs


def test_the_config_in_the_folder_of_a_run_is_not_run(tmp_path, mark):
    write_log(
        tmp_path / 'run',
        [dict(step=1, loss=1.0, lr=0.1)],
        config=(
            f'import harmful_module\nopen({str(mark)!r}, "w")\nmodel = dict(type="X", size=3)\n'
            f'work_dir = __import__("os").system("touch {mark}")\n'
        ),
    )
    call(report, tmp_path / 'run', '--out', tmp_path / 'a.html')
    page = (tmp_path / 'a.html').read_text()
    assert 'model.size' in page
    assert parse_settings('a = open(3)\nb = dict(c=1)', 'a.py') == {'a': 'open(3)', 'b': {'c': 1}}


@pytest.mark.parametrize(
    'dataset',
    [
        lambda mark: touch(mark),
        lambda mark: dict(type='harmful_module'),
        lambda mark: dict(type='ConcatDataset', datasets=[touch(mark)]),
        lambda mark: dict(
            type='UDADataset', data_root=str(mark.parent), image_folder='.', label_folder='.', pipeline=[touch(mark)]
        ),
        lambda mark: dict(
            type='BaseSegDataset',
            data_root=str(mark.parent),
            img_suffix='.pkl',
            pipeline=[dict(type='LoadBiomedicalData', decode_backend='pickle')],
        ),
        lambda mark: dict(
            type='BaseSegDataset',
            data_root=str(mark.parent),
            ann_file='a.txt',
            pipeline=[],
            backend_args=dict(
                backend='memcached', server_list_cfg='', client_cfg='', sys_path=str(mark.parent / 'modules')
            ),
        ),
    ],
)
def test_the_data_set_of_a_run_is_a_plain_one(dataset, mark):
    with pytest.raises(ValueError, match=r'dataset(\.pipeline\.0)?(\.backend_args)?\.(type|sys_path) is '):
        open_test_dataset({'test_dataloader': {'dataset': dataset(mark)}})


def test_what_a_run_says_is_text_in_the_page(tmp_path):
    config = 'model = dict(type="<script>alert(1)</script>")'
    write_log(tmp_path / 'run', [dict(step=1, loss=1.0, lr=0.1)], config=config)
    (tmp_path / 'run' / 'test.json').write_text(
        json.dumps(dict(config='<script>alert(2)</script>', mIoU=1.0, IoU={'<script>alert(3)</script>': 1.0}))
    )
    call(report, tmp_path / 'run', '--out', tmp_path / 'a.html')
    page = (tmp_path / 'a.html').read_text()
    assert 'alert(1)' in page and 'alert(2)' in page and '<script>alert' not in page


RECORDS = [
    b'',
    b'\xff\xfe\0',
    b'\n' * 9,
    b'a' * 9000,
    b'.',
    b'/dev/zero',
    b'/etc/passwd',
    b'$(touch {mark})',
    b'../../..',
    b'iter_4.pth\nrm -rf',
    b'\x80pickle',
]


def test_the_record_of_the_last_checkpoint_may_hold_anything(toy_run, tmp_path, mark):
    data, folder = toy_run
    run = Path(shutil.copytree(folder, tmp_path / 'run'))
    for content in RECORDS:
        (run / 'last_checkpoint').write_bytes(content.replace(b'{mark}', os.fsencode(mark)))
        assert resumable_checkpoint(run) == run / 'iter_4.pth', content
    runner = build_runner(toy_config(data, run, max_iters=5), resume=True)
    runner.train()
    assert len(runner.model.seen) == 1 and (run / 'last_checkpoint').read_text().endswith('iter_5.pth')


# ------------------------------------------------------------------ data


def test_data_is_not_run(tmp_path, mark):
    place = Place(tmp_path, (tmp_path, tmp_path))
    place.mark = mark
    dataset = DATASETS.build(place.scenes.config())
    statistics = class_statistics(dataset)
    cache = next(place.scenes.root.glob('class_statistics_*.json'))
    for content in (pickle.dumps(Harmful(mark)), b'{"a": "!!python/name:harmful_module.Thing"}'):
        cache.write_bytes(content)
        assert np.array_equal(class_statistics(dataset).pixels, statistics.pixels)
    np.save(tmp_path / 'a.npy', np.array([Harmful(mark)], dtype=object))
    shutil.make_archive(str(place.scenes.root / 'images'), 'zip', place.scenes.root, 'images')
    with zipfile.ZipFile(place.scenes.root / 'images.zip', 'a') as file:
        for name in ('../mark', '../../mark', str(mark), 'images/../../mark'):
            file.writestr(name, 'written outside')
    shutil.rmtree(place.scenes.root / 'images')
    DATASETS.build(place.scenes.config()).get_data_info(0)
