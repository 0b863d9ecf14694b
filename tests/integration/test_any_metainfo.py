"""Whatever a config can hold survives in a checkpoint: saved, resumed, tested, used for inference, started from."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from tests.cli.calls import call
from tests.datasets.conftest import SceneFolder
from udass.cli import infer
from udass.cli import test as test_tool
from udass.cli import train as train_tool
from udass.engine.checkpoint import to_plain
from udass.engine.config import load_config
from udass.models.checkpoints import read_checkpoint

CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = """
_base_ = ['{configs}/_base_/default_runtime.py', '{configs}/_base_/models/small_resnet10t.py',
          '{configs}/_base_/uda/dacs.py', '{configs}/_base_/schedules/small_scratch.py']
from pathlib import Path
import numpy as np
import torch
metainfo = dict(classes=('ground', 'tree', 'lamp'), palette=[[128, 64, 128], [107, 142, 35], [220, 20, 60]])
metainfo.update({entry})
crop = [dict(type='RareClassCrop', crop_size=(np.int64(64), 64)), dict(type='PackUDAInputs')]
source = dict(type='UDADataset', data_root=Path('{root}'), image_folder='images', label_folder='labels',
              image_suffix='.png', label_suffix='.png', label_table={{0: 0, 1: 1, 2: 2}}, metainfo=metainfo)
train_dataloader = dict(
    source=dict(batch_size=2, num_workers=0,
                dataset=dict(pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')] + crop, **source)),
    target=dict(batch_size=2, num_workers=0,
                dataset=dict(type='ImageFolder', data_root='{root}/images',
                             metainfo=dict(classes=metainfo['classes'], palette=metainfo['palette']),
                             pipeline=[dict(type='LoadImage')] + crop)))
test_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True, pipeline=[dict(type='LoadImage'), dict(type='LoadLabels'),
                                           dict(type='PackUDAInputs')], **source))
test_evaluator = dict(type='ClassIoUMetric')
val_cfg = None
segmentor = _base_.segmentor
segmentor.backbone.name = 'test_resnet'
segmentor.decode_head.update(in_channels=[32, 48, 192, 96], channels=16, num_classes=3)
segmentor.decode_head.loss_decode = dict(type='CrossEntropyLoss', class_weight=np.array([1.0, 2.0, 1.5]))
model = dict(student=segmentor)
train_cfg = dict(max_iters=2)
optim_wrapper = dict(_delete_=True, type='OptimWrapper',
                     optimizer=dict(type='AdamW', lr=np.float32(0.5), betas=[np.float64(0.9), 0.99]))
param_scheduler = [dict(type='PolyLR', power=np.float32(1), by_epoch=False, begin=0, end=np.int64(3))]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=2))
custom_hooks = []
visualizer = dict(vis_backends=[dict(type='LocalVisBackend')])
"""
ENTRIES = (
    "rare_classes=[dict(name='lamp', weight=1.0, min_pixels=5)], protocols=dict(mIoU_x=dict(classes=['tree'])), "
    'pseudo_margins=dict(size=(128, 96), top=0, bottom=4, left=0, right=0), '
    "palette=np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), classes=np.array(['ground', 'tree', 'lamp']), "
    "root=Path('/x'), dtype=torch.float16, infinite=float('inf'), text=np.str_('a'), number=np.int64(3), "
    'half=np.float16(0.5), true=np.True_, some={1, 2}, none=None, pair=(1, (2, )), keyed={1: dict(a=[3])}'
)


@pytest.fixture()
def scenes(tmp_path):
    scenes = SceneFolder(tmp_path / 'scenes')
    ids = np.repeat(np.array([0, 1, 2], np.uint8), 43)[None, :128].repeat(96, 0)
    for name in 'abcd':
        scenes.add(name, ids, image=np.stack([60 * ids, 255 - 60 * ids, ids], axis=-1))
    return scenes


def test_a_checkpoint_holds_what_its_config_holds(scenes, tmp_path):
    config = str(tmp_path / 'config.py')
    Path(config).write_text(CONFIG.format(configs=CONFIGS, root=scenes.root, entry=ENTRIES))

    run = tmp_path / 'run'
    call(train_tool, config, '--work-dir', run)
    stored = read_checkpoint(run / 'iter_2.pth')['meta']['dataset_meta']
    meant = load_config(config).train_dataloader.source.dataset.metainfo.to_dict()
    assert {key: stored[key] for key in meant if key not in ('classes', 'palette')} == {
        key: value for key, value in meant.items() if key not in ('classes', 'palette')
    }
    assert list(stored['classes']) == ['ground', 'tree', 'lamp'] and list(stored['palette']) == meant['palette']
    call(train_tool, config, '--work-dir', run, '--resume', '--cfg-options', 'train_cfg.max_iters=3')
    call(test_tool, config, run / 'iter_3.pth', '--work-dir', tmp_path / 'test')
    call(train_tool, config, '--work-dir', tmp_path / 'other', '--cfg-options', f'load_from={run}/iter_3.pth')
    call(infer, run / 'iter_3.pth', scenes.root / 'images', '--out', tmp_path / 'out', '--device', 'cpu')
    assert cv2.imread(str(tmp_path / 'out' / 'ids' / 'a.png'), cv2.IMREAD_UNCHANGED).shape == (96, 128)


def test_values_become_plain_ones(tmp_path):
    values = dict(
        a=np.arange(4).reshape(2, 2),
        b=(np.float32(0.5),),
        c={np.int64(1): Path('x')},
        d=frozenset({1}),
        e=range(3),
        f=Config(dict(g=[dict(h=1)]))._cfg_dict,
        i=torch.float16,
        j=np.datetime64('2020-01-02'),
        k=torch.ones(2),
        m=1j,
        n=b'a',
        o=Path,
        p=np.array([None, 1], dtype=object),
        q=torch.device('cpu'),
    )
    torch.save(to_plain(values), tmp_path / 'a.pth')
    read = torch.load(tmp_path / 'a.pth', weights_only=True)
    assert read.pop('k').tolist() == [1, 1]
    assert read == dict(
        a=[[0, 1], [2, 3]],
        b=(0.5,),
        c={1: 'x'},
        d={1},
        e=[0, 1, 2],
        f=dict(g=[dict(h=1)]),
        i=torch.float16,
        j='2020-01-02',
        m=1j,
        n=b'a',
        o=str(Path),
        p=[None, 1],
        q=torch.device('cpu'),
    )


def test_a_state_dict_keeps_its_versions():
    state = torch.nn.BatchNorm2d(3).state_dict()
    assert to_plain(state)._metadata == state._metadata and list(to_plain(state)) == list(state)
