"""The tables of the two benchmarks on CamVid, from the raw results: ``python -m tests.docs.camvid_results [RUNS]``.

Writes docs/results/camvid.md from the files of docs/results. With RUNS, the folder of ``udass seeds`` whose runs have
predictions on the target's training images, the vote of the runs is taken first and written to docs/results/vote.json.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from udass.cli import write_json
from udass.evaluation.paired import compare_all, worst_tenth
from udass.evaluation.unlabelled import UNLABELLED, rank_correlation
from udass.visualization.report.metrics import class_iou, counts_by_seed, metric_of, spread
from udass.visualization.report.reading import Method, Run, read_run
from udass.visualization.report.unlabelled import agreement_of

RESULTS = Path(__file__).parents[2] / 'docs' / 'results'
PAGE, VOTE = RESULTS / 'camvid.md', RESULTS / 'vote.json'
BENCHMARKS = {'streets2camvid': 'Streets to CamVid', 'camvid_day2dusk': 'CamVid, day to dusk'}
METHODS = {
    'source_only': 'source only',
    'dacs': 'DACS',
    'daformer': 'DAFormer',
    'mic': 'MIC',
    'quadmix_plain': 'QuadMix plain',
    'quadmix': 'QuadMix',
    'oracle': 'oracle',
}
FLOOR, CEILING = METHODS['source_only'], METHODS['oracle']
INTRODUCTION = """# Results on CamVid

The two benchmarks of [small_benchmarks.md](../small_benchmarks.md), which says what is trained, how its settings were
chosen and what the results show. All numbers are percent on the test images: mean ± standard deviation (n - 1) over the
seeds, of the last iterate; no checkpoint is chosen. `python -m tests.docs.camvid_results` writes this page from the
files beside it.

- **Share of the gap**: of that between source only and the oracle.
- **Teacher**: the moving average of the student. Source only and the oracle have none.
- **Statistics of the target**: the student whose batch norm has the statistics of 100 training images of the target
  (`udass test --target-statistics`).
- **Worst tenth**: the mean mIoU of the tenth of the images on which a run is worst.
- **Differences** of the mIoU are paired and in percentage points, with 95 % intervals over test images and seeds
  ([watching.md](../watching.md#which-method-is-better)). A method is called better or worse only where the interval
  excludes 0.
- **Ranking without labels**: Spearman's rank correlation, over runs of all methods and seeds, of a score that needs no
  labels with the mIoU of the test. The scores are taken on the target's training images
  ([watching.md](../watching.md#scores-without-labels)); the vote is that of all runs of the benchmark. The correlation
  of the entropy should be negative. The second row leaves out source only and the oracle.
"""


def read_benchmark(benchmark: str) -> list[Method]:
    """The methods that have results, in the order of METHODS."""
    found = []
    for name, title in METHODS.items():
        runs = [read_run(path.parent) for path in sorted((RESULTS / f'{benchmark}_{name}').glob('seed_*/result.json'))]
        if runs:
            found.append(Method(title, runs))
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text."""
    lines = [head, ['---', *['---:'] * (len(head) - 1)], *rows]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines) + '\n'


def score_table(methods: Sequence[Method]) -> str:
    """mIoU of the student, of the teacher and with statistics of the target; share of the gap; the worst images."""
    means = {method.name: metric_of(method, 'mIoU').mean for method in methods}
    head = ['method', 'mIoU', 'by seed', 'share of the gap', 'teacher', 'statistics of the target', 'worst tenth']
    rows = []
    for method in methods:
        within = {FLOOR, CEILING} <= means.keys() and method.name not in (FLOOR, CEILING)
        share = (means[method.name] - means[FLOOR]) / (means[CEILING] - means[FLOOR]) if within else None
        worst = spread(worst_tenth(counts) for counts in counts_by_seed(method).values())
        cells = [metric_of(method, 'mIoU').text(), ', '.join(f'{run.result["mIoU"]:.1f}' for run in method.runs)]
        cells += ['-' if share is None else f'{100 * share:.0f} %', other_test(method, 'teacher')]
        rows.append([method.name, *cells, other_test(method, 'target_statistics'), worst.text() if worst else '-'])
    return table(head, rows)


def other_test(method: Method, name: str) -> str:
    """mIoU of the tests of a method that are in files of this name."""
    files = [run.folder / f'{name}.json' for run in method.runs]
    found = spread(json.loads(file.read_text())['mIoU'] for file in files if file.is_file())
    return found.text() if found else '-'


def class_table(methods: Sequence[Method]) -> str:
    """IoU of every class."""
    classes = methods[0].runs[0].result['IoU']
    rows = [[name, *[f'{class_iou(method, name).mean:.1f}' for method in methods]] for name in classes]
    return table(['class', *[method.name for method in methods]], rows)


def difference_table(methods: Sequence[Method]) -> str:
    """What every method gains over the others that come before it."""
    pairs = compare_all({method.name: counts_by_seed(method) for method in methods})
    rows = [
        [method, other, pair.miou.text(), pair.miou.verdict]
        for (method, other), pair in pairs.items()
        if method != CEILING
    ]
    return table(['method', 'against', 'difference', 'the method is'], rows)


def rank_table(methods: Sequence[Method], votes: Mapping[str, float]) -> str:
    """How well scores without labels rank the runs: of all, and of those that adapt."""
    names = [*UNLABELLED, 'agreement with the vote']
    rows = []
    adapted = [method for method in methods if method.name not in (FLOOR, CEILING)]
    for title, chosen in (('all', methods), ('adapted', adapted)):
        runs = [run for method in chosen for run in method.runs if UNLABELLED[0] in run.result]
        values = {name: [(run.result.get(name), run.result['mIoU']) for run in runs] for name in UNLABELLED}
        values[names[-1]] = [(votes.get(name_of(run)), run.result['mIoU']) for run in runs]
        cells = []
        for name in names:
            pairs = [pair for pair in values[name] if None not in pair]
            cells.append(f'{rank_correlation(*zip(*pairs, strict=True)):+.2f}' if len(pairs) > 2 else '-')
        rows.append([f'{title} ({len(runs)})', *cells])
    return table(['runs', *names], rows)


def name_of(run: Run) -> str:
    """``<config>/seed_<n>``."""
    return f'{run.folder.parent.name}/{run.folder.name}'


def read_votes() -> dict[str, float]:
    """Agreement of each run with the vote of all runs of its benchmark, in percent, as it was taken last."""
    return json.loads(VOTE.read_text()) if VOTE.is_file() else {}


def take_vote(folder: Path) -> dict[str, float]:
    """The votes with those of the benchmarks in this folder taken anew."""
    votes = read_votes()
    for benchmark in BENCHMARKS:
        results = sorted(path for name in METHODS for path in folder.glob(f'{benchmark}_{name}/seed_*/result.json'))
        runs = [read_run(path.parent) for path in results]
        if runs:
            votes = {name: agreed for name, agreed in votes.items() if not name.startswith(f'{benchmark}_')}
        pairs = zip(runs, agreement_of(runs), strict=True)
        votes |= {name_of(run): round(agreed, 2) for run, agreed in pairs if agreed is not None}
    return votes


def page() -> str:
    """``docs/results/camvid.md``."""
    votes = read_votes()
    parts = [INTRODUCTION]
    for benchmark, title in BENCHMARKS.items():
        methods = read_benchmark(benchmark)
        if len(methods) > 1:
            parts += [f'## {title}\n', score_table(methods)]
            parts += ['### IoU of every class\n', class_table(methods)]
            parts += ['### Differences\n', difference_table(methods)]
            parts += ['### Ranking without labels\n', rank_table(methods, votes)]
    return '\n'.join(parts)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('runs', nargs='?', type=Path)
    chosen = parser.parse_args().runs
    if chosen:
        write_json(VOTE, take_vote(chosen))
    PAGE.write_text(page(), encoding='utf-8')
