"""What a user may get wrong: each case ends with one message that names the file or key, what was found, what to do.

Every case runs as in a tool (`errors_as_messages`): an error that the tools would show as a traceback fails here.
"""

import pickle
import re

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import DATASETS, METRICS
from torch import nn

from tests.integration.bad_input import (
    CONFIG,
    CONFIGS,
    Harmful,
    Place,
    built,
    built_backbone,
    coloured_label,
    cut,
    cut_flo,
    cut_resume,
    damaged_archive,
    damaged_archive_member,
    empty_image,
    flow_of_other_frames,
    half_a_backbone,
    harmful,
    harmful_backbone,
    harmful_flow_network,
    harmful_pretrained,
    harmful_start,
    large_crop,
    lost_image,
    missing_folder,
    no_pictures,
    objects_as_flow,
    option,
    other_classes,
    other_network,
    other_seed,
    other_size,
    picture_as_flow,
    text_as_image,
    train_with,
    truncated_image,
    truncated_label,
    unknown_ids,
    unlabelled_image,
    weights_only_resume,
)
from udass.cli import errors_as_messages
from udass.datasets import SeededInfiniteSampler
from udass.engine.config import load_config
from udass.engine.hooks import DamagedFileHook, FiniteLossHook
from udass.flow.files import read_flow
from udass.models.checkpoints import read_checkpoint, weights_of
from udass.models.checkpoints.loading import StrictPretrained


@pytest.fixture()
def place(tmp_path, toy_run, monkeypatch):
    init_default_scope('mmseg')
    monkeypatch.chdir(CONFIGS.parent)
    return Place(tmp_path, toy_run)


CASES = {
    # The config and its options.
    'config: missing': (train_with('none.py'), ['none.py', 'does not exist', 'udass configs']),
    'config: no Python': (
        lambda at: load_config(at.file('a.py', 'model = dict(\n')),
        ['a.py', 'line 1', 'never closed'],
    ),
    'config: missing base': (lambda at: load_config(at.file('a.py', "_base_ = ['gone.py']\n")), ['gone.py', 'a.py']),
    'config: unknown key of train_cfg': (
        option(train_cfg__max_iter=3),
        ['train_cfg.max_iter does not exist', 'Did you mean max_iters'],
    ),
    'config: unknown key of a component': (
        option(model__mixing__ratio=0.5),
        ['model.mixing.ratio does not exist', 'start_iter'],
    ),
    'config: unknown key in the file': (
        lambda at: load_config(at.file('a.py', f"_base_ = ['{CONFIG}']\nmodel = dict(ema=dict(alfa=0.9))\n")),
        ['model.ema.alfa', 'EMA takes', 'alpha'],
    ),
    'config: unknown component': (option(model__mixing__type='QuadMox'), ['model.mixing.type', 'QuadMox', 'QuadMix']),
    'config: a variable that nothing reads': (option(crop_size=3), ['option crop_size', 'nothing reads']),
    'config: a key below a number': (option(train_cfg__max_iters__a=3), ['train_cfg.max_iters is 450', 'no keys']),
    # Options out of range.
    'range: teacher': (built('EMA', alpha=1.5), ['alpha', '1.5', '[0, 1)']),
    'range: masking': (built('BlockMasking', block_size=64, ratio=2), ['ratio', '2']),
    'range: mixing': (built('QuadMix', confidence_threshold=3), ['confidence_threshold', '3', '[0, 1]']),
    'range: colours': (built('PhotometricChange', hue=2), ['hue', '2']),
    'range: pseudo-labels': (built('ConfidencePseudoLabels', threshold=96.8), ['threshold', '96.8', '[0, 1]']),
    'range: iterations': (lambda at: at.toy({'train_cfg.max_iters': 0}), ['train_cfg.max_iters', '0', 'at least 1']),
    'range: half an iteration': (lambda at: at.toy({'train_cfg.max_iters': 1.5}), ['train_cfg.max_iters', '1.5']),
    'range: validation': (lambda at: at.toy({'train_cfg.val_interval': 0}), ['train_cfg.val_interval', '0']),
    'range: batch size': (lambda at: at.toy({'train_dataloader.source.batch_size': 0}), ['batch_size', '0']),
    'range: workers': (lambda at: at.toy({'train_dataloader.source.num_workers': -1}), ['num_workers', 'non-negative']),
    'range: learning rate': (lambda at: at.toy({'optim_wrapper.optimizer.lr': -1.0}), ['learning rate', '-1']),
    'range: seed': (lambda at: at.toy({'randomness.seed': -1}), ['seed', '-1']),
    'range: left out iterations': (lambda at: FiniteLossHook(max_skipped=-1), ['max_skipped', '-1']),
    'range: damaged files': (lambda at: DamagedFileHook(max_files=-1), ['max_files', '-1']),
    # Domains and loaders.
    'domains: unknown': (
        lambda at: at.toy(domains=('source', 'night')),
        ['no config for domain night', 'source, target'],
    ),
    'domains: none': (lambda at: at.toy(domains=()), ['train_cfg.domains']),
    'domains: other classes': (other_classes, ['target has other classes than source', 'same order']),
    'domains: a sampler of its own': (
        lambda at: at.toy({'train_dataloader.source.sampler': dict(type='DefaultSampler')}),
        ['train_dataloader.source', 'no sampler'],
    ),
    # Folders and files of a data set.
    'data: missing folder': (missing_folder, ['/nowhere/game', 'does not exist', 'data_root']),
    'data: folder without pictures': (no_pictures, ['no images *.png', '.txt', 'data_root']),
    'data: no sample asked for': (lambda at: at.load(indices=0), ['indices=0', '2 samples', 'from 1']),
    'data: a sample that is not there': (lambda at: at.load(indices=[0, 7]), ['indices=[0, 7]', '0..1']),
    'data: nothing to draw from': (
        lambda at: SeededInfiniteSampler([], seed=0, stream='target'),
        ["stream 'target' is empty"],
    ),
    'data: image without label': (unlabelled_image, ['1 of 3 images', 'c.png', 'labelled=False']),
    'data: image cut off': (truncated_image, ['images/a.png', 'truncated', 'copy or download it again']),
    'data: image is text': (text_as_image, ['images/a.png', '13 bytes', 'not an image']),
    'data: image is empty': (empty_image, ['images/a.png is empty', 'copy or download it again']),
    'data: image vanished': (lost_image, ['images/a.png', 'does not exist']),
    'data: label cut off': (truncated_label, ['labels/a.png', 'cannot be decoded', 'truncated']),
    'data: label ids outside the table': (unknown_ids, ['labels/a.png', '[77]', 'label_table']),
    'data: label of another size': (other_size, ['labels/a.png', '28x20', '30x20', 'max_size_difference']),
    'data: label in colours': (coloured_label, ['labels/a.png', '(20, 30, 3)', 'label_channel']),
    'data: crop larger than the image': (large_crop, ['images/a.png', '512', '20']),
    'data: label table out of range': (
        lambda at: at.load(label_table={0: 9}),
        ['label_table maps {0: 9}', '0..2', '255'],
    ),
    'data: labels that are not used': (
        lambda at: at.load(labelled=False, pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')]),
        ['labelled=False', 'LoadLabels'],
    ),
    'data: archive is none': (damaged_archive, ['images.zip', 'not a readable zip file']),
    'data: archive is damaged': (damaged_archive_member, ['images/a.png', 'images.zip', 'damaged']),
    'data: rare classes without labels': (
        lambda at: DATASETS.build(dict(type='RareClassDataset', dataset=at.scenes.config(labelled=False))),
        ['labelled=False', 'labelled (source) data set'],
    ),
    'data: an unknown class in a list': (
        lambda at: at.load(metainfo=dict(classes=('ground', 'tree', 'lamp'), thing_classes=['lamb'])),
        ['thing_classes', "['lamb']", 'ground'],
    ),
    # Flow files.
    'flow: missing': (lambda at: read_flow(at.folder / 'a.flo'), ['a.flo does not exist']),
    'flow: unknown format': (lambda at: read_flow(at.file('a.tif')), ['a.tif', '.png, .flo or .npy']),
    'flow: cut off': (cut_flo, ['a.flo', '6x4', 'again']),
    'flow: a picture': (picture_as_flow, ['a.png', 'KITTI 16-bit PNG', 'uint8']),
    'flow: objects that run code': (objects_as_flow, ['a.npy', 'cannot be read as an array']),
    'flow: of other frames': (flow_of_other_frames, ['6x4', '32x32']),
    # Checkpoints.
    'checkpoint: missing': (lambda at: read_checkpoint(at.folder / 'a.pth'), ['a.pth does not exist']),
    'checkpoint: text': (lambda at: read_checkpoint(at.file('a.pth', 'hello')), ['a.pth is not a readable checkpoint']),
    'checkpoint: empty': (lambda at: read_checkpoint(at.file('a.pth')), ['a.pth is not a readable checkpoint']),
    'checkpoint: cut off': (
        lambda at: read_checkpoint(cut(at.saved('a.pth', {'weight': torch.rand(999)}))),
        ['a.pth', 'cut off'],
    ),
    'checkpoint: a list': (lambda at: read_checkpoint(at.saved('a.pth', [1])), ['a.pth holds a list']),
    'checkpoint: no weights': (lambda at: weights_of({'state_dict': {}}, 'a.pth'), ['a.pth has no usable state dict']),
    'checkpoint: runs code': (
        harmful('a.pth', lambda harm, path: torch.save({'state_dict': {}, 'meta': harm}, path)),
        ['a.pth needs', 'system', 'nothing of this one was executed'],
    ),
    'checkpoint: runs code, old format': (
        harmful('a.pth', lambda harm, path: torch.save(harm, path, _use_new_zipfile_serialization=False)),
        ['a.pth needs', 'nothing of this one was executed'],
    ),
    'checkpoint: runs code, bare pickle': (
        harmful('a.pkl', lambda harm, path: path.write_bytes(pickle.dumps(harm, protocol=2))),
        ['a.pkl'],
    ),
    'checkpoint: runs code at the start of a training': (harmful_start, ['a.pth needs', 'nothing of this one']),
    'checkpoint: all damaged': (cut_resume, ['nothing in', 'iter_4.pth is damaged', 'iter_2.pth is damaged']),
    'checkpoint: other seed': (other_seed, ['seed 0', 'seed 7', '--seed 0']),
    'checkpoint: other network': (other_network, ['iter_4.pth does not fit', '(4, 3, 3, 3) instead of (9, 3, 3, 3)']),
    'checkpoint: nothing to resume in it': (weights_only_resume, ['weights.pth', 'holds no training state']),
    # Start weights.
    'weights: missing backbone file': (
        lambda at: built_backbone('gone.pth'),
        ['gone.pth does not exist', 'checkpoint'],
    ),
    'weights: half a backbone': (half_a_backbone, ['a.pth does not fit', 'missing']),
    'weights: text': (lambda at: built_backbone(str(at.file('a.pth', 'x'))), ['a.pth is not a readable checkpoint']),
    'weights: broken safetensors': (
        lambda at: built_backbone(str(at.file('a.safetensors', 'x'))),
        ['a.safetensors is not a readable checkpoint'],
    ),
    'weights: run code': (harmful_backbone, ['a.pth needs', 'nothing of this one was executed']),
    'weights: run code, for flow': (harmful_flow_network, ['a.pth cannot be read as weights', 'tensors only']),
    'weights: run code, loader of mmengine': (harmful_pretrained, ['a.pth needs', 'nothing of this one was executed']),
    'weights: a collection that unpickles': (
        lambda at: load_checkpoint(nn.Linear(1, 1), 'modelzoo://resnet'),
        ['modelzoo://resnet', 'local file'],
    ),
    'weights: missing file of a published network': (
        lambda at: StrictPretrained('gone.pth')(nn.Linear(1, 1)),
        ['gone.pth does not exist', 'init_cfg'],
    ),
    # What is scored.
    'metric: unknown argument': (lambda at: METRICS.build(dict(type='ClassIoUMetric', ignore=3)), ['ignore']),
}


@pytest.mark.parametrize('name', CASES)
def test_the_message_says_what_is_wrong(name, place):
    case, expected = CASES[name]
    with pytest.raises(SystemExit) as stop, errors_as_messages():
        case(place)
    message = str(stop.value.code)
    assert message.startswith('error: '), message
    missing = [part for part in expected if part.lower() not in message.lower()]
    assert not missing, f'{missing} not in: {message}'
    # One message for people, not a dump.
    assert 'Traceback' not in message and len(message) < 2500
    assert not place.mark.exists(), 'the file was executed'


def test_the_harmful_files_would_do_harm(place):
    """Otherwise the cases above would prove nothing."""
    path = place.saved('a.pth', Harmful(place.mark))
    torch.load(path, weights_only=False)
    assert place.mark.exists()


def test_there_are_at_least_thirty_cases():
    assert len(CASES) >= 30
    assert {re.match(r'\w+', name)[0] for name in CASES} >= {'config', 'range', 'data', 'flow', 'checkpoint', 'weights'}
