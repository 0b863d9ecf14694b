import pickle

import pytest
import torch

from tests.engine.toys import build_runner, toy_config, train
from udass.engine.checkpoint import atomic_target, latest_checkpoint
from udass.models.checkpoints import read_checkpoint


class Custom:
    """An object of a class that no checkpoint may bring along."""


def test_a_failure_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / 'file'
    path.write_text('old')
    with pytest.raises(OSError, match='disk full'), atomic_target(path) as temporary:
        temporary.write_text('half of the n')
        raise OSError('disk full')
    assert path.read_text() == 'old'
    with atomic_target(path) as temporary:
        temporary.write_text('new')
    assert path.read_text() == 'new'
    assert list(tmp_path.iterdir()) == [path]


def test_a_bare_state_dict_reads_as_a_checkpoint(tmp_path):
    torch.save({'weight': torch.ones(2)}, tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['state_dict']['weight'].tolist() == [1, 1]


@pytest.mark.parametrize('write, message', [
    (lambda path: path.write_bytes(b'not a checkpoint'), 'is no readable checkpoint'),
    (lambda path: path.write_bytes(b''), 'is no readable checkpoint'),
    (lambda path: path.write_bytes(pickle.dumps(Custom())), 'is no readable checkpoint'),
    (lambda path: torch.save({'state_dict': {}, 'meta': Custom()}, path), 'nothing of this one was executed'),
    (lambda path: torch.save([1, 2], path), 'holds a list, not a state dict')])
def test_other_files_are_refused_without_running_their_code(tmp_path, write, message):
    write(tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=message) as error:
        read_checkpoint(tmp_path / 'a.pth')
    assert str(tmp_path / 'a.pth') in str(error.value)


def test_a_truncated_checkpoint_is_named(tmp_path):
    torch.save({'weight': torch.rand(1000)}, tmp_path / 'a.pth')
    content = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'a.pth').write_bytes(content[:len(content) // 2])
    with pytest.raises(ValueError, match=r'a\.pth is no readable checkpoint .* Copy or download it again'):
        read_checkpoint(tmp_path / 'a.pth')
    with pytest.raises(FileNotFoundError, match=r'b\.pth does not exist'):
        read_checkpoint(tmp_path / 'b.pth')


def test_the_latest_checkpoint_is_found_after_the_folder_moved(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/iter_4.pth')
    (tmp_path / 'iter_2.pth').touch()
    with pytest.raises(FileNotFoundError, match=r'names /elsewhere/iter_4\.pth, .* holds iter_2\.pth'):
        latest_checkpoint(tmp_path)
    (tmp_path / 'iter_4.pth').touch()
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_4.pth'


def test_a_run_keeps_the_newest_checkpoints(toy_root, tmp_path):
    train(toy_config(toy_root, tmp_path, max_iters=7))
    assert {path.name for path in tmp_path.glob('*.pth')} == {'iter_6.pth', 'iter_7.pth'}
    assert latest_checkpoint(tmp_path) == tmp_path / 'iter_7.pth'


def test_a_failing_save_leaves_the_previous_checkpoints_and_resumes(toy_root, tmp_path, monkeypatch):
    config = toy_config(toy_root, tmp_path, max_iters=6)
    config.default_hooks.checkpoint.max_keep_ckpts = 1
    runner = build_runner(config)
    save = torch.save

    def failing_save(content, file):
        if content['meta']['iter'] == 4:
            raise OSError('No space left on device')
        save(content, file)

    monkeypatch.setattr(torch, 'save', failing_save)
    with pytest.raises(OSError, match='No space left'):
        runner.train()
    assert [path.name for path in tmp_path.glob('*.pth*')] == ['iter_2.pth']
    monkeypatch.undo()
    assert len(train(config, resume=True).model.seen) == 4


def test_checkpoints_load_weights_only_with_the_history_of_the_log(toy_root, tmp_path):
    runner = train(toy_config(toy_root, tmp_path, max_iters=4))
    checkpoint = read_checkpoint(tmp_path / 'iter_4.pth')
    values, counts = checkpoint['message_hub']['log_scalars']['train/count']
    assert values.tolist() == [1.5, 3.5] and counts.tolist() == [1, 1]
    resumed = build_runner(toy_config(toy_root, tmp_path, max_iters=4), resume=True)
    resumed.train()
    assert resumed.message_hub.get_scalar('train/count').data[0].tolist() == [1.5, 3.5]
    assert len(checkpoint['meta']['random_states']) == 1
    assert runner.iter == resumed.iter == 4
