"""Where the time of a training step goes, as a picture: ``python -m tests.docs.time_shares``.

Measures the published methods on MiT-B0 and writes the file and the picture that docs/performance.md shows; with
``--draw`` only the picture.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from time import thread_time

import matplotlib.pyplot as plt
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch.utils._python_dispatch import TorchDispatchMode

from tests.benchmark.test_launches import small_config
from udass.benchmark.cases import training_step
from udass.cli import write_json

DOCS = Path(__file__).parents[2] / 'docs'
RESULT, PICTURE = DOCS / 'results/performance/shares.json', DOCS / 'images/time_shares.svg'
METHODS = dict(DAFormer='gta2cs_daformer', HRDA='gta2cs_hrda', MIC='gta2cs_mic', QuadMix='gta2cs_quadmix')
SIZE, BATCH, STEPS = 256, 2, 1
# Kind -> parts of the names of its operations; the first that fits counts (upsample_bilinear2d has 'linear' in it).
KINDS = {
    'convolutions': ('conv',),
    'resizing': ('upsample', 'interpolate', 'grid_sampler'),
    'matrices, attention': ('mm', 'linear', 'attention', 'softmax'),
    'normalisation': ('norm',),
    'optimizer, teacher': ('_foreach', '_fused', '_amp'),
    'element by element, copies': ('',),
}


class Clock(TorchDispatchMode):
    """CPU seconds of the operations inside a block by their kind, without what Python takes between them."""

    def __init__(self):
        super().__init__()
        self.seconds = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        start = thread_time()
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        kind = next(kind for kind, parts in KINDS.items() if any(part in name for part in parts))
        self.seconds[kind] += thread_time() - start
        return result


def measure():
    """CPU seconds of a step of each method by kind of operation, in one thread."""
    init_default_scope('mmseg')
    MMLogger.get_current_instance().setLevel('ERROR')
    torch.set_num_threads(1)
    methods = {}
    for method, name in METHODS.items():
        step = training_step(small_config(name, SIZE), BATCH, (SIZE, SIZE), torch.device('cpu'))
        step()
        with Clock() as clock:
            for _ in range(STEPS):
                step()
        methods[method] = {kind: clock.seconds[kind] / STEPS for kind in KINDS}
        print(method, methods[method], flush=True)
    return {'size': SIZE, 'batch': BATCH, 'steps': STEPS, 'torch': torch.__version__, 'cpu_seconds': methods}


def draw(result):
    """A bar for each method, whose parts are the kinds of operations."""
    plt.rcParams['svg.hashsalt'] = 'time_shares'
    figure, axes = plt.subplots(figsize=(8, 2.8), layout='constrained')
    methods = result['cpu_seconds']
    left = [0.0] * len(methods)
    for kind in KINDS:
        seconds = [parts[kind] for parts in methods.values()]
        axes.barh(list(methods), seconds, left=left, label=kind)
        left = [before + own for before, own in zip(left, seconds, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel(f'CPU seconds of a step, MiT-B0, {result["batch"]} crops of {result["size"]} per domain')
    figure.legend(loc='outside upper center', ncols=3, frameon=False)
    figure.savefig(PICTURE, metadata={'Date': None})


if __name__ == '__main__':
    if '--draw' not in sys.argv:
        write_json(RESULT, measure())
    draw(json.loads(RESULT.read_text()))
