"""What two processes compute together, apart from training steps."""

import torch
from torch import nn

from udass.engine.distributed import HostExchange, check_same, rank_state, sync_batch_norm_statistics, with_rank_state
from udass.engine.hooks import mean_scalars
from udass.models.ranks import average_over_ranks_, mean_over_ranks, share_over_ranks, sum_over_ranks
from udass.uda import EMA

# Of each rank: numbers of another count.
VALUES = (torch.tensor([1.0, 2.0, 6.0]), torch.tensor([4.0]))
WEIGHT = 3.0


def squared_mean(rank: int) -> tuple[float, float]:
    """A loss that is no mean over samples, mean(weight * values)**2, and its gradient."""
    weight = torch.tensor(WEIGHT, requires_grad=True)
    total = sum_over_ranks((weight * VALUES[rank]).sum())
    number = sum_over_ranks(torch.tensor(float(len(VALUES[rank]))))
    loss = (total / number).square()
    loss.backward()
    return loss.item(), weight.grad.item()


def plain_mean(rank: int) -> tuple[float, float]:
    """mean(weight * values), and its gradient."""
    weight = torch.tensor(WEIGHT, requires_grad=True)
    loss = mean_over_ranks((weight * VALUES[rank]).sum(), torch.tensor(len(VALUES[rank])))
    loss.backward()
    return loss.item(), weight.grad.item()


def norm_of_rank(rank: int) -> nn.Module:
    """A network whose running mean is the number of its rank."""
    network = nn.Sequential(nn.BatchNorm2d(2))
    network[0].running_mean.fill_(rank)
    return network


def statistics(rank: int, ranks: int) -> dict:
    """Running means in and after `sync_batch_norm_statistics`, of a teacher that copies them, from a checkpoint."""
    network = norm_of_rank(rank)
    states = [rank_state(network)]
    if ranks > 1:
        states = [None] * ranks
        torch.distributed.all_gather_object(states, rank_state(network))
    with sync_batch_norm_statistics(network):
        inside = network[0].running_mean[0].item()
        saved = {key: value.clone() for key, value in network.state_dict().items()}
    teacher = norm_of_rank(7)
    EMA(copy_buffers=True).update(teacher, network)
    return {
        'inside': inside,
        'after': network[0].running_mean[0].item(),
        'saved': saved['0.running_mean'][0].item(),
        'teacher': teacher[0].running_mean[0].item(),
        'resumed': with_rank_state(saved, states, rank, ranks)['0.running_mean'][0].item(),
        'of_another_number': with_rank_state(saved, states, rank, ranks + 1)['0.running_mean'][0].item(),
    }


def refusal(exchange: HostExchange, values: dict) -> str:
    """What a process is told whose values are not those of all."""
    try:
        check_same(exchange, values)
    except ValueError as error:
        return str(error)
    return ''


def rank_functions(rank: int, ranks: int) -> dict:
    """Results of one process."""
    averaged = [torch.full((2, 2), float(rank)), torch.full((3,), 10.0 * rank)]
    average_over_ranks_(averaged)
    exchange = HostExchange()
    return {
        'squared_mean': squared_mean(rank),
        'plain_mean': plain_mean(rank),
        'nothing': mean_over_ranks(torch.zeros(()), torch.tensor(0)).item(),
        'share': share_over_ranks(VALUES[rank] > 3, torch.float32).item(),
        'averaged': averaged,
        'any': [exchange.any(rank == 1), exchange.any(False)],
        'gathered': exchange.gather(f'rank {rank}'),
        'same': refusal(exchange, {'a': 1, 'b': 2}),
        'refused': refusal(exchange, {'a': 1, 'b': 10 + rank} | ({'c': 3} if rank else {})),
        'log': mean_scalars({'loss': [torch.tensor(1.0 + rank), torch.tensor(3.0 + rank)], 'host': [2.0, 4.0]}),
        'statistics': statistics(rank, ranks),
    }
