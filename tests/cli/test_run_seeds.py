import json

import numpy as np
import pytest

from tests.cli.calls import call
from udass.cli.experiments import seeds
from udass.evaluation.counts import ImageCounts


def result(seed, score, validations=((10, 1.0),), seconds=60.0):
    return {'seed': seed, 'mIoU': score, 'validations': [list(pair) for pair in validations], 'train_seconds': seconds}


def test_mean_and_deviation_of_the_last_iterates():
    runs = [result(0, 40.0), result(1, 42.0, seconds=120), result(2, 47.0, seconds=90)]
    rows = seeds.summarize({'a': runs, 'b': [result(0, 50.0)]})
    assert rows[0]['mean'] == 43.0
    assert rows[0]['std'] == pytest.approx((((-3) ** 2 + (-1) ** 2 + 4**2) / 2) ** 0.5)
    assert rows[0]['train_seconds'] == 90
    assert rows[1]['std'] is None
    assert not any('best_mean' in row for row in rows)


def test_the_best_validation_stands_apart_and_only_where_there_were_several():
    runs = [result(0, 40.0, [(5, 44.0), (10, 40.0)]), result(1, 42.0, [(5, 41.0), (10, 42.0)])]
    rows = seeds.summarize({'a': runs, 'b': [result(0, 50.0, [(10, 50.0)])]})
    assert rows[0]['mean'] == 41.0 and rows[0]['best'] == [44.0, 42.0] and rows[0]['best_mean'] == 43.0
    lines = seeds.to_markdown(rows).splitlines()
    assert lines[0] == '| config | mIoU, last iterate | per seed | minutes per run | best on validation (*) |'
    assert lines[2] == '| a | 41.00 ± 1.41 | 0: 40.00, 1: 42.00 | 1.0 | 43.00 ± 1.41 |'
    assert lines[3] == '| b | 50.00 | 0: 50.00 | 1.0 | - |'
    assert 'Not comparable with the last iterate' in lines[-1]
    assert 'best' not in seeds.to_markdown(rows[1:])


@pytest.mark.parametrize(
    'arguments, message',
    [(['x/a.py', 'y/a.py'], 'configs with the name a given'), (['a.py', '--seeds', '1', '1'], 'seeds 1 given twice')],
)
def test_every_run_needs_a_folder_of_its_own(arguments, message):
    with pytest.raises(ValueError, match=message):
        call(seeds, *arguments)


def test_every_config_runs_with_every_seed_and_an_interrupt_leaves_the_summary(tmp_path, monkeypatch, capsys):
    ran = []

    def fake_run(config, seed, folder, options):
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append((config, seed, list(options)))
        folder.mkdir(parents=True)
        (folder / 'result.json').write_text(json.dumps(result(seed, 30.0 + seed)))
        return result(seed, 30.0 + seed)

    monkeypatch.setattr(seeds, 'run_experiment', fake_run)
    arguments = ('x/a.py', 'b.py', '--seeds', '0', '1', '--out', tmp_path, '--cfg-options', 'x=1')
    with pytest.raises(SystemExit) as stop:
        call(seeds, *arguments)
    assert stop.value.code == 130
    assert ran == [('x/a.py', 0, ['x=1']), ('x/a.py', 1, ['x=1']), ('b.py', 0, ['x=1'])]
    assert [row['seeds'] for row in json.loads((tmp_path / 'summary.json').read_text())] == [[0, 1], [0]]
    assert '| a | 30.50 ± 0.71 | 0: 30.00, 1: 31.00 |' in (tmp_path / 'summary.md').read_text()
    assert 'The same command goes on' in capsys.readouterr().err


def test_configs_whose_runs_are_finished_are_compared_once(tmp_path, monkeypatch):
    for seed in range(3):
        folder = tmp_path / 'a' / f'seed_{seed}'
        folder.mkdir(parents=True)
        (folder / 'result.json').write_text(json.dumps(result(seed, 30.0)))
    monkeypatch.setattr(seeds, 'run_experiment', lambda config, seed, folder, options: result(seed, 30.0))
    compared = []
    monkeypatch.setattr(seeds, 'compare_all', lambda counts: compared.append(counts) or {})
    call(seeds, 'a.py', '--seeds', '0', '1', '2', '--out', tmp_path)
    assert len(compared) == 1


def test_differences_between_configs_and_the_worst_images_are_in_the_summary(tmp_path, monkeypatch):
    def fake_run(config, seed, folder, options):
        # Two images that are alike, of 10 pixels of each of two classes.
        right = {'a': 5, 'b': 8}[config[0]] + seed
        folder.mkdir(parents=True)
        confusion = np.array(2 * [[[right, 10 - right], [0, 10]]])
        ImageCounts(['0.png', '1.png'], ['road', 'sky'], confusion).write(folder / 'test.counts.npz')
        (folder / 'result.json').write_text(json.dumps(result(seed, 5.0 * right + 1000 / (20 - right) / 2)))
        return json.loads((folder / 'result.json').read_text())

    monkeypatch.setattr(seeds, 'run_experiment', fake_run)
    call(seeds, 'a.py', 'b.py', '--seeds', '0', '1', '--out', tmp_path)
    (pair,) = json.loads((tmp_path / 'differences.json').read_text())
    assert (pair['config'], pair['against'], pair['seeds']) == ('b', 'a', 2)
    assert pair['IoU']['road'] == {'difference': 30.0, 'interval': [30.0, 30.0], 'verdict': 'better'}
    text = (tmp_path / 'summary.md').read_text()
    assert '| b | a | 2 | +' in text and text.rstrip().endswith('only where the interval excludes 0.')
    rows = json.loads((tmp_path / 'summary.json').read_text())
    assert rows[0]['worst_tenth'] == [pytest.approx(score, abs=1e-3) for score in rows[0]['mIoU']]
