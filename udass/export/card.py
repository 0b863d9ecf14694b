"""The model card of an exported network, in Markdown with the header that the Hugging Face Hub reads."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch

import udass
from udass.engine.config_files import first_dataset, stored_config
from udass.inference import Segmenter
from udass.models.checkpoints import read_checkpoint

_RESULTS = ('result.json', 'test.json', 'validation.json')
_HEADER = """---
library_name: udass
pipeline_tag: image-segmentation
tags: [semantic-segmentation, domain-adaptation]
---
"""
_USE = """```python
import udass

network = udass.load('FOLDER')  # or the id of a repository on the Hugging Face Hub
labels = network.predict('image.png')  # (H, W) uint8, indices into network.classes
```
"""


def model_card(segment: Segmenter, config: Mapping, name: str) -> str:
    """The text of the card of a network under a title; ``config`` is the content of ``config.json``, with ``files``.
    The work dir of its checkpoint is searched for results of a test."""
    path = Path(segment.origin)
    meta, data = _training(path)
    scores = _scores(path, meta.get('iter'), segment.branch)
    network = segment.network
    count = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    kinds = [type(part).__name__ for part in (network, network.backbone, network.decode_head)]
    facts = {
        'network': f'{kinds[0]} of {kinds[1]} and {kinds[2]}, {count:.1f} million parameters',
        'weights': f'{segment.branch} of {path.name}',
        'iterations of training': meta.get('iter', 'not recorded'),
        **data,
        'commit of the training': scores.get('code', 'not recorded'),
        'exported with': f'UDASS {udass.__version__}, torch {torch.__version__}',
    }
    parts = [
        f'{_HEADER}\n# {name}\n\nA network for semantic segmentation into {len(segment.classes)} classes.',
        _table(('', ''), facts.items()),
        f'## Use\n\n{_USE}',
        f'## Scores\n\n{_score_text(scores)}',
        f'## Files\n\n{_file_text(config["files"])}',
        '## Licence\n\nThe licences of the training data and of the start weights decide how these weights may be '
        'used. State them here before you publish the network.\n',
    ]
    return '\n\n'.join(part.rstrip('\n') for part in parts) + '\n'


def _training(path: Path) -> tuple[dict, dict[str, str]]:
    """``meta`` of a checkpoint, and what its config says about the data of each domain."""
    if path.suffix == '.safetensors':
        return {}, {}
    checkpoint = read_checkpoint(path)
    meta = dict(checkpoint.get('meta') or {})
    try:
        config = stored_config(checkpoint, path, ('train_dataloader', 'test_dataloader'))
    except ValueError:
        return meta, {'data': 'not recorded in the checkpoint'}
    loaders = {**(config.get('train_dataloader') or {}), 'test': config.get('test_dataloader')}
    found = {
        name: first_dataset(loader['dataset'])
        for name, loader in loaders.items()
        if isinstance(loader, Mapping) and 'dataset' in loader
    }
    return meta, {f'data, {name}': _dataset_text(dataset) for name, dataset in found.items()}


def _dataset_text(dataset: Mapping) -> str:
    """Kind of a data set, and which part of it; or its folder, for images that belong to no known data set."""
    parts = [f'{key} {dataset[key]}' for key in ('domain', 'split') if isinstance(dataset.get(key), str)]
    if not parts and isinstance(dataset.get('data_root'), str):
        parts = [f'folder {Path(dataset["data_root"]).name}']
    return ', '.join([str(dataset.get('type')), *parts])


def _scores(path: Path, iteration: int | None, branch: str) -> dict:
    """The results of the checkpoint in its folder; empty without a test of this very file."""
    for name in _RESULTS:
        file = path.parent / name
        result = json.loads(file.read_text('utf-8')) if file.is_file() else {}
        tested = Path(result['checkpoint']).name if 'checkpoint' in result else f'iter_{result.get("iteration")}.pth'
        if 'mIoU' in result and tested == path.name and result.get('branch', branch) == branch:
            return result
    return {}


def _score_text(scores: Mapping) -> str:
    if not scores:
        return 'The folder of the checkpoint holds no test of it (`udass test CONFIG CHECKPOINT --json test.json`).'
    images = f' on {scores["images"]} images' if 'images' in scores else ''
    rows = [(name, '-' if value is None else f'{value:.2f}') for name, value in scores.get('IoU', {}).items()]
    return f'mIoU {scores["mIoU"]:.2f} %{images}.\n\n{_table(("class", "IoU in percent"), rows)}'


def _file_text(files: Mapping[str, Mapping]) -> str:
    """What each file takes and gives, and how far it is from the network."""
    rows = []
    for name, told in files.items():
        takes = '' if 'size' not in told else f'{"any size" if told["dynamic"] else "{}x{}".format(*told["size"])}'
        opset = f', opset {told["opset"]}' if 'opset' in told else ''
        close = 'not compared'
        if 'equal_labels' in told:
            close = f'{100 * told["equal_labels"]:.3f} % equal labels'
            if 'logit_difference' in told:
                close += f'; logits within {told["logit_difference"]:.1e}'
                close += f', probabilities within {told["probability_difference"]:.1e}'
        rows.append((f'`{name}`', f'{takes}{opset}', told.get('output', ''), close))
    return _table(('file', 'images', 'output', 'compared with the network in PyTorch'), rows)


def _table(head: tuple[str, ...], rows: object) -> str:
    lines = [head, ('---',) * len(head), *rows]
    return '\n'.join(f'| {" | ".join(str(cell) for cell in line)} |' for line in lines)
