import json

import pytest

from tests.visualization.report.runs import losses, write_images, write_log, write_test
from udass.visualization.report.reading import read_methods, read_run


def test_a_run_is_read_with_everything_it_has(tmp_path):
    write_log(tmp_path / 'a', [*losses({1: 2.0, 2: 1.0}), {'mIoU': 12.5, 'step': 2}], 'model = dict(type="X")')
    run = read_run(tmp_path / 'a')
    assert [record['loss'] for record in run.training] == [2.0, 1.0]
    assert run.validations == [{'mIoU': 12.5, 'step': 2}]
    assert run.config == {'model': {'type': 'X'}}
    assert run.environment == {
        'Python': '3.11.7 (main)',
        'CUDA available': 'False',
        'PyTorch': '2.14.1',
        'seed': '3',
        'processes': '1',
    }
    assert (run.result, run.details, run.predictions, run.panels) == ({}, {}, None, [])


def test_a_resumed_run_goes_on_from_where_it_was_resumed(tmp_path):
    write_log(tmp_path, [*losses({1: 9.0, 2: 8.0, 3: 7.0}), {'mIoU': 1.0, 'step': 3}], time='20260101_000000')
    write_log(tmp_path, losses({3: 6.0, 4: 5.0}), time='20260101_000001')
    run = read_run(tmp_path)
    assert [(record['step'], record['loss']) for record in run.training] == [(1, 9.0), (2, 8.0), (3, 6.0), (4, 5.0)]
    assert [record['step'] for record in run.validations] == [3]


def test_a_line_that_is_being_written_is_left_out_and_a_damaged_one_named(tmp_path):
    write_log(tmp_path, losses({1: 2.0}))
    log = next(tmp_path.glob('*/vis_data/scalars.json'))
    whole = log.read_text()
    log.write_text(whole + '{"loss": 1.')
    assert len(read_run(tmp_path).training) == 1
    log.write_text('{"loss": oops}\n' + whole)
    with pytest.raises(ValueError, match=r'scalars.json, line 1: not JSON'):
        read_run(tmp_path)
    (tmp_path / 'test.json').write_text('{')
    log.write_text(whole)
    with pytest.raises(ValueError, match=r'test.json is not JSON .*: test again, or delete it'):
        read_run(tmp_path)


def test_what_is_missing_comes_with_the_command(tmp_path):
    folder = tmp_path / 'my run'
    write_log(folder, losses({1: 2.0}))
    for name in ('a.py', 'iter_9.pth', 'iter_10.pth'):
        (folder / name).touch()
    missing = {what.split(':')[0].split(',')[0]: command for what, command in read_run(folder).missing.items()}
    assert list(missing) == [
        'scores of a test',
        'confusion matrix and scores by image',
        'pixel counts by image',
        'predictions',
        'training panels',
    ]
    assert missing['predictions'] == (
        f"udass test '{folder}/a.py' '{folder}/iter_10.pth' --work-dir '{folder}/test' "
        f"--json '{folder}/test.json' --predictions '{folder}/predictions'"
    )
    write_test(folder, write_images(tmp_path / 'data', 1), [50.0])
    assert list(read_run(folder).missing.values()) == ['']


def test_seeds_are_one_method_and_a_folder_of_methods_is_several(tmp_path):
    for method in ('b', 'a'):
        for seed in (10, 2):
            folder = tmp_path / method / f'seed_{seed}'
            folder.mkdir(parents=True)
            (folder / 'result.json').write_text(json.dumps({'mIoU': 1.0 * seed, 'validations': [[5, 3.0]]}))
    (tmp_path / 'summary.json').write_text('[]')
    found = read_methods([tmp_path])
    assert [(method.name, [run.result['mIoU'] for run in method.runs]) for method in found] == [
        ('a', [2.0, 10.0]),
        ('b', [2.0, 10.0]),
    ]
    assert found[0].runs[0].validations == [{'step': 5, 'mIoU': 3.0}]
    assert [method.name for method in read_methods([tmp_path / 'b', tmp_path / 'a' / 'seed_2'])] == ['b', 'a/seed_2']


def test_scores_without_labels_that_were_tested_apart_join_the_result(tmp_path):
    (tmp_path / 'unlabelled.json').write_text(json.dumps({'InfoMax': 1.5, 'checkpoint': 'later.pth'}))
    assert read_run(tmp_path).result == {}
    (tmp_path / 'result.json').write_text(json.dumps({'mIoU': 40.0, 'checkpoint': 'iter_5.pth'}))
    assert read_run(tmp_path).result == {'mIoU': 40.0, 'InfoMax': 1.5, 'checkpoint': 'iter_5.pth'}


def test_methods_of_one_name_are_told_apart(tmp_path):
    for parent in ('old', 'new'):
        write_log(tmp_path / parent / 'run', losses({1: 2.0}))
    names = [method.name for method in read_methods([tmp_path / 'old' / 'run', tmp_path / 'new' / 'run'])]
    assert names == [str(tmp_path / 'old' / 'run'), str(tmp_path / 'new' / 'run')]
    write_log(tmp_path / 'seeds' / 'run' / 'seed_0', losses({1: 2.0}))
    names = [method.name for method in read_methods([tmp_path / 'new' / 'run', tmp_path / 'seeds'])]
    assert names[1] == str(tmp_path / 'seeds' / 'run')


def test_folders_that_are_no_runs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere is not a folder; give the work dir of a run'):
        read_methods([tmp_path / 'nowhere'])
    (tmp_path / 'empty' / 'below').mkdir(parents=True)
    with pytest.raises(ValueError, match=r'empty holds no run: expected a log .*Give the work dir of udass train'):
        read_methods([tmp_path / 'empty'])
    write_log(tmp_path / 'run', losses({1: 2.0}))
    with pytest.raises(ValueError, match='run is given twice'):
        read_methods([tmp_path / 'run', tmp_path / 'empty' / '..' / 'run'])


@pytest.mark.parametrize(('loads', 'tested'), [('LoadImage', False), ('LoadLabels', True), ('LoadAnnotations', True)])
def test_no_test_is_asked_for_without_labels(loads, tested, tmp_path):
    config = f"test_dataloader = dict(dataset=dict(type='ImageFolder', pipeline=[dict(type='{loads}')]))"
    write_log(tmp_path, losses({1: 2.0}), config)
    missing = read_run(tmp_path).missing
    assert any(command.startswith('udass test') for command in missing.values()) == tested
    assert ('scores: the config has no labelled test data' in missing) == (not tested)
