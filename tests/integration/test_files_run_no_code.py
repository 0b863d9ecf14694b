"""Files from others run no code: for each way that a file comes in, one that would leave a mark if it ran.

The mark is made by `os.system`, by a module on the import path, or by unpickling.
"""

import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import DATASETS, MODELS
from torch import nn

from tests.engine.toys import build_runner, toy_config, train, write_toy_data
from tests.inference.conftest import image_run, streets  # noqa: F401
from tests.integration.bad_input import CONFIGS, Harmful, Place
from tests.visualization.report.runs import write_log
from udass.cli import convert, infer, report
from udass.cli import test as test_tool
from udass.cli import train as train_tool
from udass.datasets import class_statistics
from udass.engine.checkpoint import resumable_checkpoint
from udass.engine.config import load_config
from udass.engine.config_files import open_test_dataset, read_config
from udass.inference import Segmenter
from udass.io.settings import parse_settings


@pytest.fixture()
def mark(tmp_path, monkeypatch):
    """The file that no test may find. `harmful_module` makes it when it is imported."""
    mark = tmp_path / 'mark'
    (tmp_path / 'modules').mkdir()
    for name in ('harmful_module', 'mc'):
        text = f'open({str(mark)!r}, "w").close()\nclass Thing:\n    pass\n'
        (tmp_path / 'modules' / f'{name}.py').write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / 'modules'))
    init_default_scope('mmseg')
    yield mark
    sys.modules.pop('harmful_module', None)
    sys.modules.pop('mc', None)
    assert not mark.exists(), 'code of a file was run'


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Data and work dir of a finished toy run of 4 iterations."""
    folder = tmp_path_factory.mktemp('toy')
    data = write_toy_data(folder / 'data')
    train(toy_config(data, folder / 'run', max_iters=4, val_begin=1000))
    return data, folder / 'run'


def test_the_traps_work(tmp_path, mark):
    """Otherwise the tests below would prove nothing."""
    torch.save(Harmful(mark), tmp_path / 'a.pth')
    torch.load(tmp_path / 'a.pth', weights_only=False)
    assert mark.exists()
    mark.unlink()
    MODELS.get('harmful_module.Thing')
    assert mark.exists()
    mark.unlink()
    MODELS.build(dict(type='os.system', command=f'touch {mark}'))
    assert mark.exists()
    mark.unlink()


# ------------------------------------------------------------------ the config in a checkpoint


def touch(mark):
    return dict(type='os.system', command=f'touch {mark}')


def with_student(change):
    def case(config, mark):
        change(config.model.student, mark)

    return case


STORED = {
    'the network': with_student(lambda student, mark: student.update(touch(mark), _delete_=True)),
    'the backbone': with_student(lambda student, mark: student.update(backbone=touch(mark))),
    'a second loss': with_student(
        lambda student, mark: student.decode_head.update(loss_decode=[dict(type='CrossEntropyLoss'), touch(mark)])
    ),
    'a norm': with_student(
        lambda student, mark: student.decode_head.update(norm_cfg=dict(type='harmful_module.Thing'))
    ),
    'a module': with_student(lambda student, mark: student.update(neck=dict(type='harmful_module'))),
    'a registry': with_student(lambda student, mark: student.update(neck=dict(type='harmful_module.FPN'))),
    'a scope': with_student(lambda student, mark: student.decode_head.update(_scope_='harmful_module')),
    'a function': with_student(
        lambda student, mark: student.update(
            backbone=dict(type='TIMMBackbone', model_name='test_resnet', norm_layer='harmful_module.Thing')
        )
    ),
    'class weights': with_student(
        lambda student, mark: student.decode_head.update(
            loss_decode=dict(type='CrossEntropyLoss', class_weight=str(mark.parent / 'harm.pkl'))
        )
    ),
    'a hub': with_student(lambda student, mark: student.backbone.update(name='hf-hub:harmful/network')),
    'no module': with_student(lambda student, mark: student.update(neck=dict(type='FlowCache', folder=str(mark)))),
    'stored weights': with_student(
        lambda student, mark: student.update(
            neck=dict(type='VPD', diffusion_cfg=dict(base_size=512, checkpoint='a.pth', config='a.yaml'))
        )
    ),
    'a transform': lambda config, mark: config.test_dataloader.dataset.pipeline.append(touch(mark)),
    'a nested transform': lambda config, mark: config.test_dataloader.dataset.pipeline.append(
        dict(type='RandomChoice', transforms=[[touch(mark)]])
    ),
}
# These say nothing of the network, and are not looked at.
UNUSED = {
    'the data set': lambda config, mark: config.test_dataloader.update(
        dataset=dict(touch(mark), pipeline=config.test_dataloader.dataset.pipeline)
    ),
    'the training data': lambda config, mark: config.train_dataloader.source.update(dataset=touch(mark)),
    'imports': lambda config, mark: config.update(custom_imports=dict(imports=['harmful_module'])),
    'the scope': lambda config, mark: config.update(default_scope='harmful_module'),
    'the adapter': lambda config, mark: config.model.update(type='os.system', mixing=touch(mark)),
    'start weights': with_student(
        lambda student, mark: student.update(
            init_cfg=dict(type='Pretrained', checkpoint=str(mark.parent / 'harm.pkl')),
            pretrained=str(mark.parent / 'harm.pkl'),
        )
    ),
}


def with_stored(checkpoint, path, change, mark):
    """A copy of a checkpoint whose config is changed."""
    content = torch.load(checkpoint, weights_only=True)
    config = Config.fromstring(content['meta']['cfg'], '.py')
    (mark.parent / 'harm.pkl').write_bytes(pickle.dumps(Harmful(mark)))
    change(config, mark)
    content['meta']['cfg'] = config.pretty_text
    content['meta']['dataset_meta'] = dict(
        classes=[f'class {number}' for number in range(19)], palette=[[number] * 3 for number in range(19)]
    )
    torch.save(content, path)
    return path


@pytest.mark.parametrize('name', STORED)
def test_a_stored_config_builds_only_what_is_registered(name, image_run, tmp_path, mark):  # noqa: F811
    path = with_stored(image_run[1], tmp_path / 'a.pth', STORED[name], mark)
    with pytest.raises(ValueError, match=r'the config in \S*a\.pth: .*give the config file of its network first'):
        Segmenter(path)
    with pytest.raises(ValueError, match=r'the config in \S*a\.pth: '):
        # Options look components up.
        Segmenter(path, options={'model.student.decode_head.channels': 64})


def test_the_tool_refuses_a_hidden_command(image_run, streets, tmp_path, mark):  # noqa: F811
    path = with_stored(image_run[1], tmp_path / 'a.pth', STORED['a second loss'], mark)
    pictures = str(streets / 'camera' / 'val' / 'images')
    with pytest.raises(ValueError, match=r'a\.pth: model\.student\.decode_head\.loss_decode\.1\.type is .os.system.: '):
        infer.run(infer.parser().parse_args([str(path), pictures, '--out', str(tmp_path / 'out')]))
    # The config that the user gives is the one that counts.
    for model in (['--config', str(image_run[0]), str(path)], [str(image_run[0]), str(path)]):
        infer.run(infer.parser().parse_args([*model, pictures, '--out', str(tmp_path / 'out')]))
    assert len(list((tmp_path / 'out' / 'ids').glob('*.png'))) == 3


@pytest.mark.parametrize('name', UNUSED)
def test_the_rest_of_a_stored_config_is_not_used(name, image_run, tmp_path, mark):  # noqa: F811
    path = with_stored(image_run[1], tmp_path / 'a.pth', UNUSED[name], mark)
    assert Segmenter(path).classes[3] == 'class 3'
    assert Segmenter(path, options={'model.student.test_cfg.mode': 'whole'}).branch == 'student'


@pytest.mark.parametrize(
    'text',
    [
        'model = __import__("os").system("touch {0}")',
        'model = dict(student=dict(type=open("{0}", "w")))',
        "model = dict(student=dict(a=[dict(b=f\"{{open('{0}', 'w')}}\")]))",
        'model = [open("{0}", "w") for a in "b"]',
        'model = (lambda: open("{0}", "w"))()',
        'model = dict(**open("{0}", "w"))',
        'import harmful_module\nmodel = dict()',
        'model = 3',
        'model = dict(student=[])',
        'model = {{[]: 1}}',
        'model = dict(student=dict(a=' + 'a.' * 5000 + 'b))',
        'test_dataloader = 3\nmodel = dict()',
    ],
)
def test_a_stored_expression_is_not_run(text, tmp_path, mark):
    torch.save(dict(state_dict={'student.a': torch.zeros(1)}, meta=dict(cfg=text.format(mark))), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=r'a\.pth'):
        Segmenter(tmp_path / 'a.pth')


# ------------------------------------------------------------------ checkpoints that are pickles, or bring programs


def harmful_checkpoint(path, mark):
    torch.save({'state_dict': {}, 'meta': Harmful(mark)}, path)
    return path


def test_harmful_checkpoints_are_refused_by_every_tool(image_run, tmp_path, mark, toy):  # noqa: F811
    path = str(harmful_checkpoint(tmp_path / 'a.pth', mark))
    config = str(image_run[0])
    refused = pytest.raises(ValueError, match='a.pth needs .*nothing of this one was executed')
    with refused:
        Segmenter(path)
    with refused:
        Segmenter(config, path)
    with refused:
        test_tool.run(test_tool.parser().parse_args([config, path, '--work-dir', str(tmp_path / 'test')]))
    with refused:
        convert.run(convert.parser().parse_args([path, str(tmp_path / 'out.pth')]))
    for options in (dict(resume=True, load_from=path), dict(load_from=path)):
        with refused:
            build_runner(toy_config(toy[0], tmp_path / 'run', max_iters=2), **options).train()


def test_weights_of_a_backbone_from_the_environment_are_not_run(tmp_path, mark, monkeypatch):
    monkeypatch.setenv('UDASS_WEIGHTS', str(harmful_checkpoint(tmp_path / 'a.pth', mark)))
    config = read_config(CONFIGS / 'camvid_day2dusk_source_only.py')
    backbone = MODELS.build(config.model.student.backbone)
    with pytest.raises(ValueError, match=r'a\.pth cannot be read as a weight file'):
        backbone.init_weights()


def test_the_program_in_a_checkpoint_is_not_run_on_resume(toy, tmp_path, mark):
    data, folder = toy
    run = Path(shutil.copytree(folder, tmp_path / 'run'))
    program = f'import harmful_module\nopen({str(mark)!r}, "w").close()\ngpu_ids = []\n'
    content = torch.load(run / 'iter_4.pth', weights_only=True)
    content['meta']['config'] = program
    content['message_hub']['runtime_info']['cfg'] = program
    torch.save(content, run / 'iter_4.pth')
    runner = build_runner(toy_config(data, run, max_iters=5), resume=True)
    runner.train()
    assert runner.iter == 5
    # mmengine's inferencers run what they find there.
    loaded = load_checkpoint(nn.Linear(1, 1), str(run / 'iter_4.pth'))
    assert 'cfg' not in loaded['meta'] and 'cfg' not in loaded['message_hub']['runtime_info']
    assert 'config' not in loaded['meta']


def test_a_resumed_run_deletes_no_file_elsewhere(toy, tmp_path):
    """mmengine deletes the best checkpoint so far, and outdated ones, by the names in the checkpoint."""
    data, folder = toy
    run = Path(shutil.copytree(folder, tmp_path / 'run'))
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'a.pth').touch()
    content = torch.load(run / 'iter_4.pth', weights_only=True)
    info = content['message_hub']['runtime_info']
    info.update(best_ckpt=str(tmp_path / 'precious'), best_score=0.0, keep_ckpt_ids=['/../../precious/a', 1, 2, 4])
    torch.save(content, run / 'iter_4.pth')
    config = toy_config(data, run, max_iters=6)
    config.default_hooks.checkpoint.update(save_best='mIoU', rule='greater')
    build_runner(config, resume=True).train()
    assert (tmp_path / 'precious' / 'a.pth').is_file()


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
def test_a_data_file_runs_no_code(name, image_run, tmp_path, mark):  # noqa: F811
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
        test_tool.run(test_tool.parser().parse_args([str(path), checkpoint]))
    with refused:
        train_tool.run(train_tool.parser().parse_args([str(path)]))
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
    report.run(report.parser().parse_args([str(tmp_path / 'run'), '--out', str(tmp_path / 'a.html')]))
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
    report.run(report.parser().parse_args([str(tmp_path / 'run'), '--out', str(tmp_path / 'a.html')]))
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


def test_the_record_of_the_last_checkpoint_may_hold_anything(toy, tmp_path, mark):
    data, folder = toy
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
