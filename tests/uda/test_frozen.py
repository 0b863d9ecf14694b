"""Frozen backbones, and those with LoRA: one copy for all networks, in memory and in checkpoints."""

import copy
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS

import udass.all_modules  # noqa: F401  registers the components
from tests.cli.calls import call
from tests.distributed.small_run import PIXELS, small_config
from tests.engine.toys import train, write_toy_data
from tests.integration.test_training import assert_same_state, whole_state
from tests.models.small import build as build_network
from tests.uda.small import MIC, SEGMENTOR, TEACHER, build, domains
from udass.cli import convert
from udass.engine.checkpoint import PlainContentHook
from udass.models.backbones.lora import has_lora
from udass.models.checkpoints import load_strictly, read_checkpoint
from udass.uda.networks import load_networks

VIT = dict(type='DINOv2', name='test_vit', pretrained=False, multiple=16)
HEAD = dict(type='UpscalingHead', in_channels=64, num_classes=4)
LORA = dict(rank=2, alpha=3)
METHOD = dict(TEACHER, mixing=dict(type='ClassMix'))


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def segmentor(**backbone):
    return dict(SEGMENTOR, backbone=dict(VIT, **backbone), decode_head=HEAD)


def changed(model):
    """The model with a LoRA that is not zero any more."""
    for name, value in model.named_parameters():
        if '.lora_B.' in name:
            torch.nn.init.normal_(value, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    return model


@pytest.mark.parametrize('options', [dict(frozen=True), dict(lora=LORA)], ids=['frozen', 'lora'])
def test_the_teacher_has_the_frozen_weights_of_the_student_and_only_the_rest_moves(options):
    model, optimizer = build(METHOD, segmentor(**options))
    student, teacher = (dict(network.named_parameters()) for network in (model.student, model.teacher))
    shared = {name for name in student if student[name] is teacher[name]}
    trained = {name for name, value in student.items() if value.requires_grad}
    assert shared == student.keys() - trained
    assert {'backbone.net.pos_embed', 'backbone.net.blocks.0.mlp.fc1.weight'} <= shared
    assert 'decode_head.conv_seg.weight' in trained
    assert ('backbone.net.blocks.0.attn.qkv.lora_B.default.weight' in trained) == ('lora' in options)
    before = copy.deepcopy(dict(model.state_dict()))
    for seed in range(3):
        model.train_step(domains(seed), optimizer)
    after = model.state_dict()
    for network in ('student', 'teacher'):
        moved = {name for name in student if not torch.equal(before[f'{network}.{name}'], after[f'{network}.{name}'])}
        assert moved == trained, network
    assert all(teacher[name] is student[name] for name in shared)


def test_a_frozen_network_computes_what_a_copy_of_it_would():
    model, _ = build(METHOD, segmentor(frozen=True))
    copied, _ = build(METHOD, segmentor(frozen=True))
    copied.teacher = copy.deepcopy(copied.teacher)
    logs = []
    for one in (model, copied):
        optimizer = build_optim_wrapper(one, dict(optimizer=dict(type='AdamW', lr=1e-3)))
        logs.append(
            [
                {key: value.item() for key, value in one.train_step(domains(seed), optimizer).items()}
                for seed in range(3)
            ]
        )
    assert logs[0] == logs[1]


def test_the_imagenet_network_shares_them_too():
    model = MODELS.build(dict(type='DomainAdapter', student=segmentor(frozen=True), **dict(MIC, masking=None)))
    assert model.imagenet.backbone.net.pos_embed is model.student.backbone.net.pos_embed
    assert sum(value.numel() for value in model.parameters()) < 2 * sum(
        value.numel() for value in model.student.parameters()
    )


@pytest.mark.parametrize('options', [dict(frozen=True), dict(lora=LORA)], ids=['frozen', 'lora'])
def test_the_optimizer_has_only_what_is_trained(options):
    model, _ = build(METHOD, segmentor(**options))
    config = dict(optimizer=dict(type='AdamW', lr=1.0), paramwise_cfg=dict(lr_mult=0.1, decay_rate=0.5))
    wrapper = build_optim_wrapper(model, dict(config, constructor='LayerDecayConstructor'))
    found = {id(value): group['lr'] for group in wrapper.optimizer.param_groups for value in group['params']}
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    assert found.keys() == {id(value) for value in trained.values()}
    if 'lora' in options:
        # Six blocks.
        assert found[id(trained['student.backbone.net.blocks.3.attn.qkv.lora_A.default.weight'])] == 0.1 * 0.5**2


def test_a_checkpoint_has_one_copy(tmp_path):
    sizes = []
    for frozen in (True, False):
        model, _ = build(METHOD, segmentor(frozen=frozen))
        # As from a GPU: each tensor is copied.
        state = copy.copy(model.state_dict())
        for key, value in state.items():
            state[key] = value.clone() if isinstance(value, torch.Tensor) else value
        content = dict(state_dict=state, message_hub=dict(log_scalars={}, runtime_info={}, resumed_keys={}))
        PlainContentHook().before_save_checkpoint(SimpleNamespace(model=model), content)
        torch.save(content, tmp_path / 'file.pth')
        sizes.append((tmp_path / 'file.pth').stat().st_size)
        loaded = read_checkpoint(tmp_path / 'file.pth')['state_dict']
        assert loaded.keys() == model.state_dict().keys()
        load_strictly(model, loaded, 'file')
    frozen = sum(value.numel() for value in model.student.backbone.net.parameters())
    assert sizes[1] - sizes[0] == pytest.approx(4 * frozen, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize('options', [dict(frozen=True), dict(lora=LORA)], ids=['frozen', 'lora'])
def test_a_training_resumes_to_the_bit(options, tmp_path):
    data = write_toy_data(tmp_path / 'data', count=4, size=PIXELS)
    config = small_config(data, tmp_path / 'whole', max_iters=4)
    config.model.student = dict(segmentor(**options), decode_head=dict(HEAD, num_classes=3))
    whole = train(config)
    config.work_dir = str(tmp_path / 'resumed')
    resumed = train(config, resume=True, load_from=str(tmp_path / 'whole' / 'iter_2.pth'))
    assert_same_state(whole_state(resumed), whole_state(whole))
    teacher = resumed.model.teacher.backbone.net.pos_embed
    assert teacher is resumed.model.student.backbone.net.pos_embed


def test_another_teacher_does_not_overwrite_the_frozen_weights():
    model, _ = build(METHOD, segmentor(frozen=True))
    weights = {f'student.{key}': torch.full_like(value, 2.0) for key, value in model.student.state_dict().items()}
    weights |= {f'teacher.{key}': torch.full_like(value, 3.0) for key, value in model.teacher.state_dict().items()}
    load_networks(dict(student=model.student, teacher=model.teacher), weights, 'file')
    assert model.student.backbone.net.norm.weight[0] == 2
    assert model.student.decode_head.conv_seg.weight.flatten()[0] == 2
    assert model.teacher.decode_head.conv_seg.weight.flatten()[0] == 3


@pytest.mark.parametrize('kind', ['DINOv2', 'TimmViT'])
@pytest.mark.parametrize('with_cp', [False, True])
def test_lora_starts_as_the_network_and_reaches_its_layers(kind, with_cp, tmp_path):
    options = dict(type=kind, name='test_vit', pretrained=False) | ({'out_indices': (5,)} if kind == 'TimmViT' else {})
    plain = build_network(dict(options))
    torch.save(plain.net.state_dict(), tmp_path / 'vit.pth')
    network = build_network(
        dict(
            options,
            lora=dict(LORA, modules=['attn.qkv', 'mlp.fc2']),
            checkpoint=str(tmp_path / 'vit.pth'),
            with_cp=with_cp,
        )
    )
    network.init_weights()
    images = torch.rand(1, 3, 48, 64)
    torch.testing.assert_close(network(images)[-1], plain(images)[-1])
    network.train()(images)[-1].square().mean().backward()
    with_gradient = {name for name, value in network.named_parameters() if value.grad is not None}
    assert with_gradient == {name for name in network.state_dict() if '.lora_' in name}
    assert len(with_gradient) == 6 * 2 * 2


def test_merged_weights_compute_the_same(tmp_path):
    config = segmentor(lora=LORA)
    network = changed(build_network(copy.deepcopy(config)))
    images = torch.rand(1, 3, 64, 64)
    text = f'model = dict(student=dict(backbone={config["backbone"]!r}))\n'
    state = {f'student.{key}': value for key, value in network.state_dict().items()}
    torch.save(dict(meta=dict(cfg=text), state_dict=state), tmp_path / 'iter_1.pth')
    call(convert, tmp_path / 'iter_1.pth', tmp_path / 'merged.pth')
    merged = read_checkpoint(tmp_path / 'merged.pth')['state_dict']
    plain = build_network(segmentor())
    assert not has_lora(merged)
    load_strictly(plain, merged, 'merged.pth')
    expected, found = (one.eval()(images, mode='tensor') for one in (network, plain))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    # It does change the logits.
    unchanged = build_network(copy.deepcopy(config))
    assert not torch.allclose(unchanged.eval()(images, mode='tensor'), expected, atol=1e-3)
    torch.save(dict(state_dict=state), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='bare.pth has weights of LoRA, but no config that says their alpha'):
        call(convert, tmp_path / 'bare.pth', tmp_path / 'other.pth')


def test_without_peft_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ImportError, match="lora of the backbone needs .* `pip install 'peft>=0.21'`"):
        build_network(dict(VIT, lora=LORA))
