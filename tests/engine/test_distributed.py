"""How the processes of a run find each other, and the random state of one."""

import io
import random

import numpy as np
import pytest
import torch

from udass.engine.distributed import (
    HostExchange,
    get_random_state,
    local_device,
    preserved_random_state,
    set_random_state,
    start_processes,
    use_slurm_environment,
)


def test_slurms_variables_become_torchs():
    environment = {'SLURM_PROCID': '5', 'SLURM_NTASKS': '8', 'SLURM_LOCALID': '1', 'SLURM_NODELIST': 'gpu07'}
    use_slurm_environment(environment)
    assert {name: environment[name] for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')} == {
        'RANK': '5',
        'WORLD_SIZE': '8',
        'LOCAL_RANK': '1',
        'MASTER_ADDR': 'gpu07',
        'MASTER_PORT': '29500',
    }
    given = {**environment, 'MASTER_ADDR': 'other', 'MASTER_PORT': '1'}
    use_slurm_environment(given)
    assert (given['MASTER_ADDR'], given['MASTER_PORT']) == ('other', '1')
    with pytest.raises(ValueError, match='SLURM_NTASKS is not set; start by tools/slurm_train.sh'):
        use_slurm_environment({'SLURM_PROCID': '5', 'SLURM_LOCALID': '1'})


def test_the_first_machine_of_a_node_list_is_asked_for(tmp_path, monkeypatch):
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\necho gpu03; echo gpu04\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    environment = {'SLURM_PROCID': '0', 'SLURM_NTASKS': '2', 'SLURM_LOCALID': '0', 'SLURM_NODELIST': 'gpu[03-04]'}
    use_slurm_environment(environment)
    assert environment['MASTER_ADDR'] == 'gpu03'


def test_a_process_gets_the_gpu_of_its_number(monkeypatch):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    assert [local_device(number, 2) for number in (0, 1)] == [0, 1]
    with pytest.raises(ValueError, match='process 2 of this machine has no GPU: start at most 2, one per GPU'):
        local_device(2, 2)
    monkeypatch.setenv('SLURM_PROCID', '3')
    assert local_device(3, 1) == 0


def test_a_start_that_cannot_work_says_so(monkeypatch):
    for name in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match='RANK, LOCAL_RANK.* is not set, so pytorch did not start this process'):
        start_processes('pytorch')
    with pytest.raises(ValueError, match="the launcher is 'pytorch' \\(torchrun\\) or 'slurm', got 'mpi'"):
        start_processes('mpi')
    for name, value in dict(RANK='0', LOCAL_RANK='0', WORLD_SIZE='1', MASTER_ADDR='localhost', MASTER_PORT='1').items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    with pytest.raises(ValueError, match="backend is 'nccl', which needs a GPU, and there is none"):
        start_processes('pytorch', backend='nccl')


def test_one_process_exchanges_nothing():
    exchange = HostExchange()
    assert exchange.any(True) and not exchange.any(False)
    assert exchange.gather('a') == ['a']


def draw():
    return random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(3).tolist()


def test_states_come_back_from_a_file_that_is_read_weights_only():
    random.gauss(0, 1)
    np.random.randn()
    file = io.BytesIO()
    torch.save(get_random_state(), file)
    expected = draw()
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert draw() == expected


def test_what_draws_in_between_leaves_no_trace():
    state = get_random_state()
    expected = draw()
    set_random_state(state)
    with preserved_random_state():
        draw()
        torch.manual_seed(5)
    assert draw() == expected
