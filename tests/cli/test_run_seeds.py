import json

import pytest

from tools.run_seeds import check_names, parse_args, run_all, run_folder, summarize, to_markdown, write_summary


def result(seed, score, validations=((10, 1.0),), seconds=60.0):
    return {'seed': seed, 'mIoU': score, 'validations': [list(pair) for pair in validations], 'train_seconds': seconds}


def test_mean_and_deviation_of_the_last_iterates():
    rows = summarize(
        {'a': [result(0, 40.0), result(1, 42.0, seconds=120), result(2, 47.0, seconds=90)], 'b': [result(0, 50.0)]}
    )
    assert rows[0]['mean'] == 43.0
    assert rows[0]['std'] == pytest.approx((((-3) ** 2 + (-1) ** 2 + 4**2) / 2) ** 0.5)
    assert rows[0]['train_seconds'] == 90
    assert rows[1]['std'] is None
    assert not any('best_mean' in row for row in rows)


def test_the_best_validation_stands_apart_and_only_where_there_were_several():
    rows = summarize(
        {
            'a': [result(0, 40.0, [(5, 44.0), (10, 40.0)]), result(1, 42.0, [(5, 41.0), (10, 42.0)])],
            'b': [result(0, 50.0, [(10, 50.0)])],
        }
    )
    assert rows[0]['mean'] == 41.0 and rows[0]['best'] == [44.0, 42.0] and rows[0]['best_mean'] == 43.0
    lines = to_markdown(rows).splitlines()
    assert lines[0] == '| config | mIoU, last iterate | per seed | minutes per run | best on validation (*) |'
    assert lines[2] == '| a | 41.00 ± 1.41 | 0: 40.00, 1: 42.00 | 1.0 | 43.00 ± 1.41 |'
    assert lines[3] == '| b | 50.00 | 0: 50.00 | 1.0 | - |'
    assert 'Not comparable with the last iterate' in lines[-1]
    assert 'best' not in to_markdown(rows[1:])


def test_every_run_needs_a_folder_of_its_own():
    with pytest.raises(ValueError, match='configs with the name a given twice'):
        check_names(parse_args(['x/a.py', 'y/a.py']))
    with pytest.raises(ValueError, match='seeds 1 given twice'):
        check_names(parse_args(['a.py', '--seeds', '1', '1']))


def test_results_so_far_are_summarized(tmp_path):
    args = parse_args(['configs/a.py', 'configs/b.py', '--seeds', '0', '1', '--out', str(tmp_path)])
    assert write_summary(args) is None
    folder = run_folder(str(tmp_path), 'configs/b.py', 1)
    folder.mkdir(parents=True)
    (folder / 'result.json').write_text(json.dumps(result(1, 33.0)))
    assert '| b | 33.00 | 1: 33.00 |' in write_summary(args)
    assert json.loads((tmp_path / 'summary.json').read_text())[0]['mIoU'] == [33.0]
    assert (tmp_path / 'summary.md').read_text() == write_summary(args)


def test_every_config_runs_with_every_seed_and_an_interrupt_keeps_the_summary(tmp_path, monkeypatch, capsys):
    ran = []

    def fake_run(config, seed, folder, tools, options):
        if len(ran) == 3:
            raise KeyboardInterrupt
        ran.append((config, seed, list(options)))
        folder.mkdir(parents=True)
        (folder / 'result.json').write_text(json.dumps(result(seed, 30.0 + seed)))
        return result(seed, 30.0 + seed)

    monkeypatch.setattr('tools.run_seeds.run_experiment', fake_run)
    args = parse_args(['a.py', 'b.py', '--seeds', '0', '1', '--out', str(tmp_path), '--cfg-options', 'x=1'])
    with pytest.raises(SystemExit) as stop:
        run_all(args)
    assert stop.value.code == 130
    assert ran == [('a.py', 0, ['x=1']), ('a.py', 1, ['x=1']), ('b.py', 0, ['x=1'])]
    assert [row['seeds'] for row in json.loads((tmp_path / 'summary.json').read_text())] == [[0, 1], [0]]
    assert 'The same command goes on' in capsys.readouterr().err
