"""A resumed run opens no file of the iterations that are done."""

from collections import Counter
from pathlib import Path

import pytest

from tests.engine.toys import build_runner, toy_config, train, write_toy_data

BATCH = 2


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """More images than the runs below draw, so that each is drawn once."""
    return write_toy_data(tmp_path_factory.mktemp('many'), count=40)


@pytest.fixture()
def opened(monkeypatch, tmp_path):
    """What the processes that are forked from here open of the data set: a function that gives the counts."""
    record = tmp_path / 'opened'
    record.touch()
    from udass.io import images

    read = images.read_file

    def recorded(path):
        # Lines of this length are appended in one piece, whatever process they come from.
        with open(record, 'a') as file:
            file.write(f'{Path(path).parent.name}/{Path(path).stem}\n')
        return read(path)

    monkeypatch.setattr(images, 'read_file', recorded)

    def counts():
        found = Counter(record.read_text().split())
        record.write_text('')
        return found

    return counts


def reading_config(root, work_dir, num_workers, max_iters):
    config = toy_config(root, work_dir, max_iters=max_iters, num_workers=num_workers, val_begin=1000)
    for domain, loader in config.train_dataloader.items():
        loader.dataset.pipeline[0] = dict(type='LoadImage')
        # One folder per domain, to tell whose reads are whose.
        folder = root / domain
        if not folder.exists():
            folder.symlink_to(root / 'images')
        loader.dataset.data_prefix.img_path = domain
    return config


@pytest.mark.parametrize('num_workers', [0, 2])
def test_a_resumed_run_reads_what_is_left_and_nothing_else(root, tmp_path, num_workers, opened):
    whole = train(reading_config(root, tmp_path / 'whole', num_workers, max_iters=9))
    assert opened().keys() >= {f'source/{name}' for batch in whole.model.seen for name in batch['source']}
    done = 6
    train(reading_config(root, tmp_path / 'run', num_workers, max_iters=done))
    opened()
    resumed = build_runner(reading_config(root, tmp_path / 'run', num_workers, max_iters=9), resume=True)
    resumed.train()
    assert resumed.model.seen == whole.model.seen[done:]
    found = opened()
    for domain in ('source', 'target'):
        drawn = [name for batch in whole.model.seen for name in batch[domain]]
        before, after = drawn[: done * BATCH], drawn[done * BATCH :]
        assert not set(before) & set(after)
        read = {key.split('/')[1]: number for key, number in found.items() if key.startswith(f'{domain}/')}
        assert not set(read) & set(before)
        # Once each; workers also read ahead of the last iteration.
        assert set(after) <= set(read) and all(number == 1 for number in read.values())
        assert num_workers > 0 or set(after) == set(read)
