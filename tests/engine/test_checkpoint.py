import pickle
import resource
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.distributed.processes import fork
from tests.engine.toys import build_runner, toy_config, train
from udass.cli import errors_as_messages
from udass.engine.checkpoint import damage_of, latest_checkpoint, resumable_checkpoint
from udass.io.writing import temporary_path
from udass.models.checkpoints import read_checkpoint


class Custom:
    """An object of a class that no checkpoint may bring along."""


def test_a_bare_state_dict_reads_as_a_checkpoint(tmp_path):
    torch.save({'weight': torch.ones(2)}, tmp_path / 'a.pth')
    assert read_checkpoint(tmp_path / 'a.pth')['state_dict']['weight'].tolist() == [1, 1]


@pytest.mark.parametrize(
    'write, message',
    [
        (lambda path: path.write_bytes(b'not a checkpoint'), 'is not a readable checkpoint'),
        (lambda path: path.write_bytes(b''), 'is not a readable checkpoint'),
        (lambda path: path.write_bytes(pickle.dumps(Custom())), 'is not a readable checkpoint'),
        (lambda path: torch.save({'state_dict': {}, 'meta': Custom()}, path), 'nothing of this one was executed'),
        (lambda path: torch.save([1, 2], path), 'holds a list, not a state dict'),
    ],
)
def test_other_files_are_refused_without_running_their_code(tmp_path, write, message):
    write(tmp_path / 'a.pth')
    with pytest.raises(ValueError, match=message) as error:
        read_checkpoint(tmp_path / 'a.pth')
    assert str(tmp_path / 'a.pth') in str(error.value)


def test_a_truncated_checkpoint_is_named(tmp_path):
    torch.save({'weight': torch.rand(1000)}, tmp_path / 'a.pth')
    content = (tmp_path / 'a.pth').read_bytes()
    (tmp_path / 'a.pth').write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'a\.pth is not a readable checkpoint .* Copy or download it again'):
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


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    """One bit in the middle: torch.load does not notice it in a weight."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_damage_is_found_by_the_checksums(tmp_path):
    path = tmp_path / 'a.pth'
    for damage, message in ((cut, 'cut off, or its end is damaged'), (flip, 'checksum of a/data/0 is wrong')):
        torch.save({'weight': torch.rand(1000)}, path)
        assert damage_of(path) is None
        damage(path)
        assert message in damage_of(path)
    path.write_bytes(b'')
    assert damage_of(path) == 'it is empty (0 bytes)'


def test_damage_beside_the_checksums_is_found(tmp_path):
    """One wrong bit in the directory at the archive's end: a member's name, its flags or the like."""
    path = tmp_path / 'a.pth'
    weight = torch.rand(10)
    torch.save({'weight': weight}, path)
    whole = path.read_bytes()
    start = whole.index(b'PK\x01\x02')
    found = []
    for place in range(start, start + 60):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        found.append(damage_of(path) is not None)
        if not found[-1]:
            # Some fields mean nothing to a reader.
            assert torch.equal(read_checkpoint(path)['state_dict']['weight'], weight)
    assert sum(found) > 20


@pytest.mark.parametrize('damage', [cut, flip, Path.unlink])
def test_the_checkpoint_before_a_damaged_one_is_resumed_and_the_damage_reported(toy_root, tmp_path, damage, caplog):
    config = toy_config(toy_root, tmp_path, max_iters=6)
    whole = train(config)
    damage(tmp_path / 'iter_6.pth')
    resumed = build_runner(config, resume=True)
    messages = []
    resumed.logger.warning = messages.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('udass.engine.checkpoint.print_log', lambda text, **how: messages.append(text))
        resumed.train()
    found = 'iter_6.pth, which does not exist' if damage is Path.unlink else 'iter_6.pth is damaged: '
    assert found in messages[0] and messages[0].endswith(f'Going on from {tmp_path / "iter_4.pth"}')
    assert len(resumed.model.seen) == 2
    assert all(torch.equal(value, whole.model.state_dict()[key]) for key, value in resumed.model.state_dict().items())
    assert damage_of(tmp_path / 'iter_6.pth') is None and latest_checkpoint(tmp_path) == tmp_path / 'iter_6.pth'


def test_a_folder_of_damaged_checkpoints_is_not_started_anew(toy_root, tmp_path):
    assert resumable_checkpoint(tmp_path) is None
    config = toy_config(toy_root, tmp_path, max_iters=4)
    train(config)
    for path in tmp_path.glob('*.pth'):
        cut(path)
    with pytest.raises(
        ValueError,
        match=r'can be resumed: \S+iter_4.pth is damaged: .*iter_2.pth is damaged: .*start '
        'again in another work dir',
    ):
        train(config, resume=True)


def test_a_checkpoint_without_record_counts(tmp_path):
    for number in (2, 10):
        torch.save({}, tmp_path / f'iter_{number}.pth')
    assert resumable_checkpoint(tmp_path) == tmp_path / 'iter_10.pth'
    # The record goes before: a newer file may be from before a resume.
    (tmp_path / 'last_checkpoint').write_text('iter_2.pth')
    assert resumable_checkpoint(tmp_path) == tmp_path / 'iter_2.pth'


def test_what_a_killed_run_left_is_removed(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path, max_iters=6)
    config.train_cfg.max_iters = 4
    train(config)
    # As if killed while writing, and before deleting what fell out of the list.
    temporary_path(tmp_path).write_bytes(b'half')
    (tmp_path / 'iter_1.pth').write_bytes((tmp_path / 'iter_2.pth').read_bytes())
    checkpoint = read_checkpoint(tmp_path / 'iter_4.pth')
    checkpoint['message_hub']['runtime_info']['keep_ckpt_ids'] = [1, 2, 4]
    torch.save(checkpoint, tmp_path / 'iter_4.pth')
    config.train_cfg.max_iters = 5
    train(config, resume=True)
    assert {path.name for path in tmp_path.glob('iter_*')} == {'iter_4.pth', 'iter_5.pth'}
    assert not list(tmp_path.glob('.*.part'))


def train_with_small_files(rank, path):
    """The kernel writes half of a checkpoint only."""
    runner = build_runner(Config.fromfile(path), **{'model.width': 64}, resume=True)
    size = max(file.stat().st_size for file in Path(runner.work_dir).glob('*.pth'))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
    with errors_as_messages():
        runner.train()


@pytest.mark.slow
def test_a_write_that_the_system_cuts_short_keeps_the_old_checkpoint(toy_root, tmp_path, capfd):
    config = toy_config(toy_root, tmp_path / 'run', max_iters=2)
    train(config, **{'model.width': 64})
    config.train_cfg.max_iters = config.param_scheduler[0].end = 6
    config.default_hooks.checkpoint.max_keep_ckpts = 1
    config.dump(tmp_path / 'config.py')
    assert fork(train_with_small_files, tmp_path / 'config.py', number=1) == [1]
    errors = capfd.readouterr().err
    assert 'iter_4.pth could not be written: File too large' in errors and 'Traceback' not in errors
    assert [path.name for path in (tmp_path / 'run').iterdir() if 'pth' in path.name] == ['iter_2.pth']
    assert resumable_checkpoint(tmp_path / 'run') == tmp_path / 'run' / 'iter_2.pth'
