"""Checkpoints from others run no code: for each way that they come in, one that would leave a mark if it ran.

The mark is made by `os.system`, by a module on the import path, or by unpickling.
"""

import pickle
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import MODELS
from torch import nn

from tests.cli.calls import call
from tests.engine.toys import build_runner, toy_config
from tests.integration.bad_input import CONFIGS, Harmful, touch
from udass.cli import convert, infer
from udass.cli import test as test_tool
from udass.engine.config_files import read_config
from udass.inference import Segmenter


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
def test_a_stored_config_builds_only_what_is_registered(name, image_run, tmp_path, mark):
    path = with_stored(image_run[1], tmp_path / 'a.pth', STORED[name], mark)
    with pytest.raises(ValueError, match=r'the config in \S*a\.pth: .*give the config file of its network first'):
        Segmenter(path)
    with pytest.raises(ValueError, match=r'the config in \S*a\.pth: '):
        # Options look components up.
        Segmenter(path, options={'model.student.decode_head.channels': 64})


def test_the_tool_refuses_a_hidden_command(image_run, streets, tmp_path, mark):
    path = with_stored(image_run[1], tmp_path / 'a.pth', STORED['a second loss'], mark)
    pictures = str(streets / 'camera' / 'val' / 'images')
    with pytest.raises(ValueError, match=r'a\.pth: model\.student\.decode_head\.loss_decode\.1\.type is .os.system., '):
        call(infer, path, pictures, '--out', tmp_path / 'out')
    # The config that the user gives is the one that counts.
    for model in (['--config', str(image_run[0]), str(path)], [str(image_run[0]), str(path)]):
        call(infer, *model, pictures, '--out', tmp_path / 'out')
    assert len(list((tmp_path / 'out' / 'ids').glob('*.png'))) == 3


@pytest.mark.parametrize('name', UNUSED)
def test_the_rest_of_a_stored_config_is_not_used(name, image_run, tmp_path, mark):
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


def test_harmful_checkpoints_are_refused_by_every_tool(image_run, tmp_path, mark, toy_run):
    path = str(harmful_checkpoint(tmp_path / 'a.pth', mark))
    config = str(image_run[0])
    refused = pytest.raises(ValueError, match='a.pth needs .*nothing of this one was executed')
    with refused:
        Segmenter(path)
    with refused:
        Segmenter(config, path)
    with refused:
        call(test_tool, config, path, '--work-dir', tmp_path / 'test')
    with refused:
        call(convert, path, tmp_path / 'out.pth')
    for options in (dict(resume=True, load_from=path), dict(load_from=path)):
        with refused:
            build_runner(toy_config(toy_run[0], tmp_path / 'run', max_iters=2), **options).train()


def test_weights_of_a_backbone_from_the_environment_are_not_run(tmp_path, mark, monkeypatch):
    monkeypatch.setenv('UDASS_WEIGHTS', str(harmful_checkpoint(tmp_path / 'a.pth', mark)))
    config = read_config(CONFIGS / 'camvid_day2dusk_source_only.py')
    backbone = MODELS.build(config.model.student.backbone)
    with pytest.raises(ValueError, match=r'a\.pth needs posix\.system to be read.* nothing of this one was executed'):
        backbone.init_weights()


def test_the_program_in_a_checkpoint_is_not_run_on_resume(toy_run, tmp_path, mark):
    data, folder = toy_run
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


def test_a_resumed_run_deletes_no_file_elsewhere(toy_run, tmp_path):
    """mmengine deletes the best checkpoint so far, and outdated ones, by the names in the checkpoint."""
    data, folder = toy_run
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
