"""Memory of loader workers."""

import ctypes
import multiprocessing
import resource

import numpy as np
import pytest

from tests.engine.toys import build_runner, toy_config
from udass.engine import loops, memory
from udass.engine.loops import UDATrainLoop
from udass.engine.memory import disable_malloc_trim


def count_page_faults(queue, start):
    """Puts how many new pages 20 rounds of pictures take in a process that was started so."""
    start(0)
    for number in range(25):
        if number == 5:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        pictures = [np.ones(megabytes * 2**20, np.uint8) for megabytes in (6, 11, 4, 8, 3, 6)]
        del pictures
    queue.put(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'gnu_get_libc_version'), reason='not the GNU C library')
def test_loader_workers_use_their_memory_again(toy_root, tmp_path):
    config = toy_config(toy_root, tmp_path)
    loop = UDATrainLoop(build_runner(config), config.train_dataloader, max_iters=1)
    # Spawned: a fork would inherit what an earlier training in this process has set.
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    for loader in loop.dataloader.loaders.values():
        process = context.Process(target=count_page_faults, args=(queue, loader.worker_init_fn))
        process.start()
        # Less than one round, which takes 38 MiB, 9728 pages of 4 KiB. Otherwise each gives them back at its end.
        assert queue.get(timeout=60) < 1000
        process.join()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), 'gnu_get_libc_version'), reason='not the GNU C library')
def test_a_plain_process_gives_its_memory_back():
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    process = context.Process(target=count_page_faults, args=(queue, int))
    process.start()
    assert queue.get(timeout=60) > 20 * 1000
    process.join()


@pytest.mark.parametrize('device, calls', [('cpu', 1), ('cuda', 0)])
def test_a_training_keeps_its_memory_where_it_computes_on_the_cpu(device, calls, toy_root, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(loops, 'get_device', lambda: device)
    monkeypatch.setattr(loops, 'disable_malloc_trim', lambda: made.append(True))
    config = toy_config(toy_root, tmp_path)
    build_runner(config).train()
    assert len(made) == calls


def test_other_c_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, 'CDLL', lambda name: object())
    assert disable_malloc_trim() is False
