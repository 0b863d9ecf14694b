"""The table of published configs, in the three forms that people and programs read.

python -m tests.docs.model_zoo     # writes configs/index.json, model-index.yml and docs/model_zoo.md

What a config is follows from its name and its network; the published numbers are in docs/published_recipes.json, those
of this project in docs/results. Costs of networks that have not changed are taken from the present index.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
import yaml
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch.utils.flop_counter import FlopCounterMode

from udass.cli.configs import numbers
from udass.engine.config import prepare_config
from udass.engine.config_files import read_config
from udass.io.published import CONFIGS, read_index

DOCS = Path(__file__).parents[2] / 'docs'
INDEX, MODEL_INDEX, PAGE = CONFIGS / 'index.json', CONFIGS.parent / 'model-index.yml', DOCS / 'model_zoo.md'
# The beginning of a name -> the benchmark, and the data that it is trained and tested on. Longer names go first.
BENCHMARKS = {
    'gta2cs': ('GTA to Cityscapes', ['GTA', 'Cityscapes']),
    'syn2cs': ('SYNTHIA to Cityscapes', ['SYNTHIA', 'Cityscapes']),
    'cs2acdc': ('Cityscapes to ACDC', ['Cityscapes', 'ACDC']),
    'cs2dz': ('Cityscapes to Dark Zurich', ['Cityscapes', 'Dark Zurich']),
    'viper2csseq': ('VIPER to Cityscapes-Seq', ['VIPER', 'Cityscapes-Seq']),
    'synseq2csseq': ('SYNTHIA-Seq to Cityscapes-Seq', ['SYNTHIA-Seq', 'Cityscapes-Seq']),
    'viper2bdd': ('VIPER to BDDVid', ['VIPER', 'BDDVid']),
    'streets2camvid_video': ('streets to CamVid, on video', ['streets', 'CamVid']),
    'streets2camvid': ('streets to CamVid', ['streets', 'CamVid']),
    'camvid_day2dusk': ('CamVid, day to dusk', ['CamVid']),
    'camvid_video': ('CamVid video', ['CamVid']),
    'streets_video': ('streets as video, game to camera', ['streets']),
    'streets': ('streets, game to camera', ['streets']),
}
# What follows it -> the method, and where it was published.
METHODS = {
    'source_only': ('source only', None),
    'oracle': ('labels of the target', None),
    'fusion': ('fusion of two frames', None),
    'minent': ('MinEnt', 'https://arxiv.org/abs/1811.12833'),
    'advseg': ('AdvSeg', 'https://arxiv.org/abs/1802.10349'),
    'dacs': ('DACS', 'https://arxiv.org/abs/2007.08702'),
    'daformer': ('DAFormer', 'https://arxiv.org/abs/2111.14887'),
    'hrda': ('HRDA', 'https://arxiv.org/abs/2204.13132'),
    'mic': ('MIC', 'https://arxiv.org/abs/2212.01322'),
    'tps': ('TPS', 'https://arxiv.org/abs/2207.13372'),
    'quadmix': ('QuadMix', 'https://arxiv.org/abs/2311.13254'),
    'vfmuda': ('VFM-UDA', 'https://arxiv.org/abs/2406.09896'),
    'vfmudapp': ('VFM-UDA++', 'https://arxiv.org/abs/2503.10685'),
}
HEADS = {'DAFormerHead': 'DAFormer', 'DLV2Head': 'DeepLabV2', 'ACCELHead': 'ACCEL-DeepLabV2'}
HEADS |= dict.fromkeys(('SegFormerMLPHead', 'WeightedSegformerHead'), 'SegFormer')
INTRODUCTION = """# Model zoo

Every config, with the mIoU of its paper where there is one, and ours where it was run; `udass configs` prints the
same. A published number is that of a full run by its authors; **no full run was repeated here**, and how the authors
chose their checkpoints is in [reproduce.md](reproduce.md). Ours is that of the last iterate, mean ± standard
deviation (n - 1) over the seeds in [docs/results](results/README.md).

Parameters are those of the network that is tested. FLOPs count multiplications and additions for one frame at the
size of the test, the windows of HRDA included, optical flow not. `python -m tests.docs.model_zoo` writes this page.
"""


def index() -> dict[str, dict]:
    """What is known of each config, by name."""
    known = {entry['digest']: entry for entry in read_index().values()} if INDEX.is_file() else {}
    entries = {}
    for name in [path.stem for path in sorted(CONFIGS.glob('*.py')) if not path.stem.startswith('benchmark_')]:
        entries[name] = entry(name, known)
        known[entries[name]['digest']] = entries[name]
    return entries


def entry(name: str, known: Mapping[str, Mapping]) -> dict:
    """What is known of a config; ``known`` are entries with costs by the digest of their network."""
    config = read_config(name)
    prepare_config(config)
    size = test_size(config)
    student = config.model.student.to_dict()
    student['backbone'].pop('checkpoint', None)  # may come from the environment, and costs nothing
    digest = hashlib.sha256(json.dumps([student, size], default=str).encode()).hexdigest()[:16]
    cost = known.get(digest) or dict(zip(('parameters', 'flops'), costs(config), strict=True))
    benchmark, method = name_parts(name)
    return {
        'benchmark': BENCHMARKS[benchmark][0],
        'method': METHODS[method][0],
        'network': network(config.model.student),
        'published': published().get(name),
        'ours': ours().get(name),
        'parameters': cost['parameters'],
        'flops': cost['flops'],
        'size': list(size),
        'digest': digest,
    }


def name_parts(name: str) -> tuple[str, str]:
    """The keys of BENCHMARKS and METHODS of a config; KeyError if its name has none of them."""
    for benchmark in sorted(BENCHMARKS, key=len, reverse=True):
        if name.startswith(f'{benchmark}_'):
            rest = name.removeprefix(f'{benchmark}_')
            for method in METHODS:
                if rest == method or rest.startswith(f'{method}_'):
                    return benchmark, method
    raise KeyError(f'{name}: add its benchmark or its method to tests/docs/model_zoo.py')


def network(student: Mapping) -> str:
    """A network in words, such as ``DAFormer, MiT-B5, HRDA``."""
    backbone, head = student['backbone'], student['decode_head']
    head = head.get('head', head)['type']
    kind = backbone.get('name') or backbone['type']
    names = {'MiT': f'MiT-{backbone.get("variant", "").upper()}', 'MixVisionTransformer': 'MiT-B0'}
    names |= dict.fromkeys(('ResNetV1c', 'CaffeResNet'), f'ResNet-{backbone.get("depth")}')
    words = [HEADS.get(head, head.removesuffix('Head')), names.get(kind, kind.split('.')[0])]
    words += ['HRDA'] * ('HRDA' in student['type']) + ['two frames'] * ('FlowGuided' in student['type'])
    return ', '.join(words)


def test_size(config: Config) -> tuple[int, int]:
    """Height and width of the images of the test, as the network sees them."""
    dataset = config.test_dataloader.dataset
    scale = next(step['scale'] for step in dataset.pipeline if 'scale' in step)
    return scale[1], scale[0]


def costs(config: Config) -> tuple[int, int]:
    """Parameters of the network that is tested, and floating-point operations for one frame."""
    init_default_scope('mmseg')
    student = config.model.student.copy()
    if 'test_cfg' in student:
        # All windows at once: nothing is computed, and fewer operations are counted.
        student.test_cfg = ConfigDict(student.test_cfg, max_batch=None)
    net = MODELS.build(student).to('meta').eval()
    frame = torch.empty(1, 3, *test_size(config), device='meta')
    shape = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape'), frame.shape[-2:])
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.inference(frame, [shape])
    return sum(parameter.numel() for parameter in net.parameters()), counter.get_total_flops()


@cache
def published() -> dict[str, dict[str, float]]:
    return json.loads((DOCS / 'published_recipes.json').read_text(encoding='utf-8'))['results']


@cache
def ours() -> dict[str, dict]:
    rows = json.loads((DOCS / 'results' / 'summary.json').read_text())
    return {row['config']: {'mean': round(row['mean'], 2), 'std': row['std'] and round(row['std'], 4)} for row in rows}


def model_index(entries: Mapping[str, Mapping]) -> str:
    """``model-index.yml`` as OpenMMLab's tools read it."""
    collections = [
        {'Name': method, 'Paper': {'URL': url}} if url else {'Name': method} for method, url in METHODS.values()
    ]
    models = []
    for name, values in entries.items():
        data = BENCHMARKS[name_parts(name)[0]][1]
        model = {
            'Name': name,
            'In Collection': values['method'],
            'Config': f'configs/{name}.py',
            'Metadata': {
                'Training Data': data,
                'Parameters': values['parameters'],
                'FLOPs': values['flops'],
                'Network': values['network'],
            },
        }
        if values['ours'] is not None:
            metrics = {'mIoU': values['ours']['mean']}
            model['Results'] = [{'Task': 'Semantic Segmentation', 'Dataset': data[-1], 'Metrics': metrics}]
        models.append(model)
    return '# Written by python -m tests.docs.model_zoo.\n' + yaml.safe_dump(
        {'Collections': collections, 'Models': models}, sort_keys=False, width=120
    )


def page(entries: Mapping[str, Mapping]) -> str:
    """``docs/model_zoo.md``."""
    lines = [INTRODUCTION]
    for benchmark in dict.fromkeys(values['benchmark'] for values in entries.values()):
        lines += [f'## {benchmark[0].upper()}{benchmark[1:]}', '']
        lines += ['| command | method | network | published mIoU | ours | parameters | FLOPs |']
        lines += ['| --- | --- | --- | ---: | ---: | ---: | ---: |']
        for name, values in entries.items():
            if values['benchmark'] == benchmark:
                cells = [f'`udass train {name}`', values['method'], values['network'], *numbers(values)]
                lines.append(f'| {" | ".join(cells)} |')
        lines.append('')
    return '\n'.join(lines)


if __name__ == '__main__':
    found = index()
    INDEX.write_text(json.dumps(found, indent=1) + '\n', encoding='utf-8')
    MODEL_INDEX.write_text(model_index(found), encoding='utf-8')
    PAGE.write_text(page(found), encoding='utf-8')
