"""What two processes compute together, apart from training steps."""

import tempfile
from unittest import mock

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from timm.models import register_model
from timm.models.eva import Eva
from torch import nn

import tests.uda.small  # noqa: F401  registers a ViT of four blocks
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


@register_model
def dinov3_2_blocks(pretrained=False, **options):
    """A DINOv3 of two narrow blocks, for timm."""
    sizes = dict(patch_size=16, embed_dim=64, depth=2, num_heads=2, num_reg_tokens=4, num_classes=0, global_pool='')
    positions = dict(use_rot_pos_emb=True, use_abs_pos_emb=False, rope_type='dinov3', rope_rotate_half=True)
    return Eva(**sizes, **positions, dynamic_img_size=True, qkv_bias=False, init_values=1e-5, use_fc_norm=False)


# Without weights of their own.
BACKBONES = {
    'DINOv2': dict(type='DINOv2', name='test_vit'),
    'ViTAdapter': dict(type='ViTAdapter', name='vit_4_blocks'),
    'DINOv3': dict(type='TimmViT', name='dinov3_2_blocks', out_indices=(1,)),
    'convolutional': dict(type='TimmBackbone', name='test_resnet', out_indices=(4,)),
}


def load_incomplete(backbone: dict, from_hub: bool) -> str:
    """What a process is told when weights from a file or from timm's hub lack a tensor of the network."""
    init_default_scope('mmseg')
    weights = MODELS.build(dict(backbone, pretrained=False)).net.state_dict()
    # Under timm's names, in which numbers of stages are parts of their own.
    weights = {key.replace('stages_', 'stages.'): value for key, value in weights.items()}
    weights.pop([key for key in weights if key.endswith('.weight')][-1])
    with tempfile.TemporaryDirectory() as folder, mock.patch('udass.models.backbones.timm.fetch_weights') as fetch:
        fetch.return_value = weights
        torch.save(weights, f'{folder}/weights.pth')
        source = dict(pretrained=True) if from_hub else dict(checkpoint=f'{folder}/weights.pth')
        try:
            MODELS.build({**backbone, **source}).init_weights()
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
        'incomplete': {
            f'{name} from the {"hub" if from_hub else "file"}': load_incomplete(backbone, from_hub)
            for name, backbone in BACKBONES.items()
            for from_hub in (False, True)
        },
    }
