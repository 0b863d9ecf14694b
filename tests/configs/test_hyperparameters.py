"""The hyperparameters of every published config, against the published values."""
import re
from functools import cache

import pytest
from mmengine.config import Config
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, MODELS, PARAM_SCHEDULERS
from torch import nn

import udass  # noqa: F401
from tests.configs.small import CONFIGS, PUBLISHED, shrink_network

# One row per config: dataset part, network, method, optimizer.
TABLE = {
    'gta2cs_source_only': ('gta2cs_512', 'deeplabv2', 'source_only', 'sgd'),
    'gta2cs_minent': ('gta2cs_512', 'deeplabv2', 'minent', 'sgd'),
    'gta2cs_advseg': ('gta2cs_512', 'deeplabv2', 'advseg', 'sgd+adam'),
    'gta2cs_dacs': ('gta2cs_512', 'deeplabv2', 'dacs', 'adamw'),
    'gta2cs_daformer': ('gta2cs_512', 'daformer', 'daformer', 'adamw mit'),
    'gta2cs_daformer_cnn': ('gta2cs_512', 'deeplabv2', 'daformer', 'adamw'),
    'gta2cs_hrda': ('gta2cs_1024', 'hrda mit', 'hrda', 'adamw mit'),
    'gta2cs_hrda_cnn': ('gta2cs_1024', 'hrda deeplabv2', 'hrda', 'adamw'),
    'gta2cs_mic': ('gta2cs_1024', 'hrda mit', 'mic', 'adamw mit'),
    'gta2cs_mic_cnn': ('gta2cs_1024', 'hrda deeplabv2', 'mic', 'adamw'),
    'gta2cs_mic_daformer': ('gta2cs_512', 'daformer', 'mic', 'adamw mit'),
    'gta2cs_quadmix': ('gta2cs_1024', 'hrda mit', 'quadmix', 'adamw mit'),
    'gta2cs_quadmix_cnn': ('gta2cs_1024', 'hrda deeplabv2', 'quadmix', 'adamw'),
    'gta2cs_quadmix_dinov2': ('gta2cs_512', 'dinov2', 'quadmix', 'adamw vit'),
    'syn2cs_source_only': ('syn2cs_512', 'deeplabv2', 'source_only', 'sgd'),
    'syn2cs_daformer': ('syn2cs_512', 'daformer', 'daformer', 'adamw mit'),
    'syn2cs_daformer_cnn': ('syn2cs_512', 'deeplabv2', 'daformer', 'adamw'),
    'syn2cs_hrda': ('syn2cs_1024', 'hrda mit', 'hrda', 'adamw mit'),
    'syn2cs_hrda_cnn': ('syn2cs_1024', 'hrda deeplabv2', 'hrda', 'adamw'),
    'syn2cs_mic': ('syn2cs_1024', 'hrda mit', 'mic', 'adamw mit'),
    'syn2cs_mic_cnn': ('syn2cs_1024', 'hrda deeplabv2', 'mic', 'adamw'),
    'syn2cs_mic_daformer': ('syn2cs_512', 'daformer', 'mic', 'adamw mit'),
    'syn2cs_quadmix': ('syn2cs_1024', 'hrda mit', 'quadmix', 'adamw mit'),
    'syn2cs_quadmix_cnn': ('syn2cs_1024', 'hrda deeplabv2', 'quadmix', 'adamw'),
    'cs2acdc_daformer': ('cs2acdc_512', 'daformer', 'daformer', 'adamw mit'),
    'cs2acdc_hrda': ('cs2acdc_1024', 'hrda mit', 'hrda', 'adamw mit'),
    'cs2acdc_mic': ('cs2acdc_1024', 'hrda mit', 'mic', 'adamw mit'),
    'cs2acdc_quadmix': ('cs2acdc_1024', 'hrda mit', 'quadmix', 'adamw mit'),
    'cs2dz_daformer': ('cs2dz_512', 'daformer', 'daformer', 'adamw mit'),
    'cs2dz_hrda': ('cs2dz_1024', 'hrda mit', 'hrda', 'adamw mit'),
    'cs2dz_mic': ('cs2dz_1024', 'hrda mit', 'mic', 'adamw mit'),
    'cs2dz_quadmix': ('cs2dz_1024', 'hrda mit', 'quadmix', 'adamw mit')}
# What a config changes in the recipe of its method.
CHANGES = {
    'gta2cs_quadmix_cnn': dict(mixing=('QuadMix', 7000, 0.9, 2, 2)),
    'syn2cs_quadmix_cnn': dict(mixing=('QuadMix', 6001, 0.9, 2, 2)),
    'gta2cs_quadmix_dinov2': dict(feature_distance=None, masking=(32, 0.7, 'target'), sampling=(0.01, 3000, 0.5)),
    **dict.fromkeys(('gta2cs_mic_daformer', 'syn2cs_mic_daformer'),
                    dict(masking=(32, 0.7, 'target'), sampling=(0.01, 3000, 0.5))),
    **dict.fromkeys(('cs2acdc_mic', 'cs2acdc_quadmix', 'cs2dz_mic', 'cs2dz_quadmix'),
                    dict(masking=(64, 0.7, 'mixed')))}

# Rows top and bottom, columns left and right without trust, in pixels of the resized target.
ROWS_512, HRDA_MARGINS = dict(top=15, bottom=120), dict(top=30, bottom=240, left=30, right=30)
GTA_RARE, SYN_RARE = [3, 4, 5, 6, 12, 15, 16, 17, 18], [3, 3, 4, 4, 4, 4, 5, 5, 6, 7, 12, 13, 18]
CS_RARE = [4, 6, 15, 17, 18]
# Source, its size, target, its size, side of the crop, margins, rare classes (repetition is weight) and their pixels.
DATA = {
    'gta2cs_512': ('GTA', (1280, 720), 'Cityscapes', (1024, 512), 512, ROWS_512, GTA_RARE, 50),
    'gta2cs_1024': ('GTA', (2560, 1440), 'Cityscapes', (2048, 1024), 1024, HRDA_MARGINS, GTA_RARE, 50),
    'syn2cs_512': ('Synthia', (1280, 760), 'Cityscapes', (1024, 512), 512, ROWS_512, SYN_RARE, 10),
    'syn2cs_1024': ('Synthia', (2560, 1520), 'Cityscapes', (2048, 1024), 1024, HRDA_MARGINS, SYN_RARE, 10),
    # As published, DAFormer's rows here too.
    'cs2acdc_512': ('Cityscapes', (1024, 512), 'ACDC', (960, 540), 512, ROWS_512, CS_RARE, 50),
    'cs2acdc_1024': ('Cityscapes', (2048, 1024), 'ACDC', (1920, 1080), 1024, {}, CS_RARE, 50),
    'cs2dz_512': ('Cityscapes', (1024, 512), 'DarkZurich', (960, 540), 512, ROWS_512, CS_RARE, 50),
    'cs2dz_1024': ('Cityscapes', (2048, 1024), 'DarkZurich', (1920, 1080), 1024, {}, CS_RARE, 50)}
THINGS = {6, 7, 11, 12, 13, 14, 15, 16, 17, 18}

# Segmentor, backbone, its size, decoder, dilations, how it is tested.
SLIDE = ('slide', (1024, 1024), (512, 512))
NETWORKS = {
    'deeplabv2': ('SlidingEncoderDecoder', 'ResNetV1c', 101, 'DLV2Head', (6, 12), ('whole', None, None)),
    'daformer': ('SlidingEncoderDecoder', 'MiT', 'b5', 'DAFormerHead', (1, 6, 12, 18), ('whole', None, None)),
    'dinov2': ('SlidingEncoderDecoder', 'TimmViT', 'vit_base_patch14_reg4_dinov2.lvd142m', 'DAFormerHead',
               (1, 6, 12, 18), ('whole', None, None)),
    'hrda deeplabv2': ('HRDAEncoderDecoder', 'ResNetV1c', 101, 'DLV2Head', (6, 12), SLIDE),
    'hrda mit': ('HRDAEncoderDecoder', 'MiT', 'b5', 'DAFormerHead', (1, 6, 12, 18), SLIDE)}
# Scales of context and detail, crop of the detail, its share of the loss.
HRDA = ((0.5, 1.0), (512, 512), 0.1)

# The recipes, in the terms of `recipe` below.
NOTHING = dict(domains=('source', 'target'), ema=None, threshold=None, use_margins=None, mixing=None,
               photometric=None, masking=None, feature_distance=None, alignment=None, sampling=None, long_tail=None)
DAFORMER = {**NOTHING, **dict(ema=0.999, threshold=0.968, use_margins=True, mixing=('ClassMix', ), photometric='kornia',
                              feature_distance=(0.005, 0.75), sampling=(0.01, 3000, 0.5))}
MIC = {**DAFORMER, **dict(sampling=(0.01, 3000, 2), masking=(64, 0.7, 'target'))}
METHODS = {
    'source_only': {**NOTHING, **dict(domains=('source', ))},
    'minent': {**NOTHING, **dict(alignment=('EntropyMinimization', 0.001, None))},
    'advseg': {**NOTHING, **dict(alignment=('AdversarialAlignment', 0.001, 64))},
    'dacs': {**DAFORMER, **dict(ema=0.99, use_margins=False, feature_distance=None, sampling=None)},
    'daformer': DAFORMER,
    'hrda': {**DAFORMER, **dict(sampling=(0.01, 3000, 2))},
    'mic': MIC,
    'quadmix': {**MIC, **dict(mixing=('QuadMix', 6000, 0.9, 2, 2), photometric='torchvision',
                              long_tail=(2, 2))}}

ADAMW = dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True)
SGD = dict(type='SGD', lr=0.0025, momentum=0.9, weight_decay=5e-4)
OPTIMIZERS = {'adamw': [ADAMW], 'adamw mit': [ADAMW], 'adamw vit': [ADAMW], 'sgd': [SGD],
              'sgd+adam': [SGD, dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))]}
# Learning rates of backbone, decoder and discriminator.
PARTS = ('backbone', 'decode_head', 'alignment')
ITERATIONS = (0, 750, 1500, 20_000, 40_000)
ADAMW_RATES = {'backbone': (6e-11, 2.94375294e-5, 5.775e-5, 3e-5, 0),
               'decode_head': (6e-10, 2.94375294e-4, 5.775e-4, 3e-4, 0)}
SGD_RATES = dict.fromkeys(('backbone', 'decode_head'), (2.5e-9, 1.226563727e-3, 2.40625e-3, 1.25e-3, 0))
RATES = {'adamw': ADAMW_RATES, 'adamw mit': ADAMW_RATES, 'adamw vit': ADAMW_RATES, 'sgd': SGD_RATES,
         'sgd+adam': {**SGD_RATES, 'alignment': (1e-4, 9.83109070e-5, 9.66185831e-5, 5.35886731e-5, 0)}}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


@cache
def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def step(pipeline, kind):
    return next((transform for transform in pipeline if transform['type'] == kind), None)


def values(config, *names):
    """The named values of a component, None if there is no component."""
    return None if config is None else tuple(config.get(name) for name in names)


def test_the_table_has_every_published_config():
    assert set(TABLE) == set(PUBLISHED)


def margins(dataset, size):
    """What PseudoMargins takes away, in pixels of the resized image."""
    transform = step(dataset.pipeline, 'PseudoMargins')
    known = {**dataset_class(dataset).METAINFO, **dataset.get('metainfo', {})}.get('pseudo_margins')
    if transform is None or known is None:
        return {}
    order = [entry.type for entry in dataset.pipeline]
    if order.index('PseudoMargins') > order.index('RareClassCrop'):
        size = step(dataset.pipeline, 'RareClassCrop').crop_size
    scale = size[0] / known['size'][0]
    found = {side: known[side] * scale for side in transform.get('sides', ('top', 'bottom', 'left', 'right'))}
    return {side: pixels for side, pixels in found.items() if pixels}


def dataset_class(dataset):
    return DATASETS.get(dataset.type)


@pytest.mark.parametrize('name', PUBLISHED)
def test_data(name):
    source, source_size, target, target_size, crop, expected_margins, rare, rare_pixels = DATA[TABLE[name][0]]
    loaders = load(name).train_dataloader
    for loader, kind, size, varied in ((loaders.source, source, source_size, 0.75),
                                       (loaders.target, target, target_size, None)):
        assert (loader.dataset.type, loader.batch_size) == (kind, 2)
        # Fitted into that size at the aspect ratio of the file, as in the reference: GTA's 1914x1052 becomes 1280x704
        # and 2560x1407, not 1280x720 and 2560x1440.
        assert values(step(loader.dataset.pipeline, 'Resize'), 'scale', 'keep_ratio') == (size, True)
        assert values(step(loader.dataset.pipeline, 'RareClassCrop'), 'crop_size', 'cat_max_ratio') == (
            (crop, crop), varied)
        assert step(loader.dataset.pipeline, 'RandomFlip').prob == 0.5
    assert margins(loaders.target.dataset, target_size) == expected_margins
    meta = dataset_class(loaders.source.dataset).METAINFO
    ids = {class_name: number for number, class_name in enumerate(meta['classes'])}
    drawn = [number for entry in meta['rare_classes'] for number in [ids[entry['name']]] * int(entry['weight'])]
    assert drawn == rare and {entry['min_pixels'] for entry in meta['rare_classes']} == {rare_pixels}
    assert {ids[class_name] for class_name in meta['thing_classes']} == THINGS


@pytest.mark.parametrize('name', PUBLISHED)
def test_network(name):
    segmentor = load(name).model.student
    kind, backbone, size, decoder, dilations, tested = NETWORKS[TABLE[name][1]]
    head, is_hrda = segmentor.decode_head, kind == 'HRDAEncoderDecoder'
    inner = head.head if is_hrda else head
    sizes = {'MiT': 'variant', 'ResNetV1c': 'depth', 'TimmViT': 'name'}
    assert (segmentor.type, segmentor.backbone.type, segmentor.backbone[sizes[backbone]]) == (kind, backbone, size)
    assert (inner.type, inner.dilations, inner.num_classes) == (decoder, dilations, 19)
    assert values(segmentor.test_cfg, 'mode', 'crop_size', 'stride') == tested
    if is_hrda:
        assert (segmentor.scales, segmentor.crop_size, head.detail_loss_weight) == HRDA
    if backbone == 'ResNetV1c':
        # Output stride 8.
        assert (segmentor.backbone.strides, segmentor.backbone.dilations) == ((1, 2, 1, 1), (1, 1, 2, 4))
    else:
        assert (segmentor.backbone.drop_path_rate, inner.dropout_ratio) == (0.1, 0.1)
    assert segmentor.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert segmentor.data_preprocessor.std == [58.395, 57.12, 57.375]


def recipe(config):
    """The values that make a method."""
    model, options = config.model, config.train_cfg
    mixing, photometric = model.get('mixing'), model.get('photometric')
    pseudo_labels = model.get('pseudo_labels') or {}
    return dict(
        domains=tuple(options.get('domains', ('source', 'target'))),
        ema=(model.get('ema') or {}).get('alpha'),
        threshold=pseudo_labels.get('threshold'),
        use_margins=pseudo_labels.get('use_margins', True) if pseudo_labels else None,
        mixing=mixing and tuple(value for value in values(
            mixing, 'type', 'start_iter', 'confidence_threshold', 'source_classes', 'target_classes') if value),
        photometric=photometric and photometric.operations,
        masking=values(model.get('masking'), 'block_size', 'ratio', 'mode'),
        feature_distance=values(model.get('feature_distance'), 'weight', 'min_ratio'),
        alignment=values(model.get('alignment'), 'type', 'weight', 'channels'),
        sampling=values(options.get('source_sampling'), 'temperature', 'min_pixels', 'crop_fraction'),
        long_tail=values(options.get('long_tail'), 'draws', 'mixes'))


@pytest.mark.parametrize('name', PUBLISHED)
def test_recipe(name):
    config = load(name)
    assert recipe(config) == {**METHODS[TABLE[name][2]], **CHANGES.get(name, {})}
    assert config.load_from is None
    # Left at its default, which is the reference's: BatchNorm of the teacher on the statistics of the batch.
    assert 'teacher_batch_statistics' not in config.model and 'eval_branch' not in config.model


def test_defaults():
    # Nothing but the operations is set in the configs.
    photometric = [load(name).model.get('photometric') for name in PUBLISHED]
    assert all(set(config) == {'type', 'operations'} for config in photometric if config)
    change = MODELS.build(dict(type='PhotometricChange'))
    assert change.strength == dict(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.2)
    assert (change.jitter_probability, change.blur_probability, change.sigma) == (0.8, 0.5, (0.15, 1.15))
    quadmix = MODELS.build(dict(type='QuadMix'))
    assert quadmix.scales == dict(tss=0.5, tst=0.5) and all(vars(quadmix.directions).values())
    sampling = load('gta2cs_quadmix').train_cfg.source_sampling
    assert sampling.type == 'RareClassDataset' and 'reference_size' not in sampling  # absolute, as in the reference


@pytest.mark.parametrize('name', PUBLISHED)
def test_optimizer(name):
    config = load(name)
    wrapper = config.optim_wrapper
    found = [wrapper.student, wrapper.alignment] if 'student' in wrapper else [wrapper]
    assert [dict(child.optimizer) for child in found] == OPTIMIZERS[TABLE[name][3]]
    assert all(child.get('clip_grad') is None for child in found)
    assert (config.train_cfg.max_iters, config.train_cfg.val_interval) == (40_000, 4000)


class Tiny(nn.Module):
    """One parameter per part that has a rate of its own."""

    def __init__(self, with_discriminator):
        super().__init__()
        self.student = nn.ModuleDict({'backbone': nn.Linear(1, 1), 'decode_head': nn.Linear(1, 1)})
        if with_discriminator:
            self.alignment = nn.Linear(1, 1)


def settings(model, wrapper):
    """Parameter group of each parameter, by name."""
    children = [child for _, child in wrapper.items()] if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    groups = {id(value): group for child in children for group in child.param_groups for value in group['params']}
    return {name: groups[id(value)] for name, value in model.named_parameters()}


def stepped_rates(config):
    """The rate of each part of `Tiny` at ITERATIONS, from mmengine's schedulers stepped to the end."""
    several = 'student' in config.param_scheduler
    model = Tiny(with_discriminator=several)
    wrapper = build_optim_wrapper(model, config.optim_wrapper)
    chains = config.param_scheduler.items() if several else [(None, config.param_scheduler)]
    schedulers = [PARAM_SCHEDULERS.build({**scheduler, 'optimizer': wrapper if child is None else wrapper[child]})
                  for child, chain in chains for scheduler in chain]
    groups = {part: group for name, group in settings(model, wrapper).items() for part in PARTS if part in name}
    rates = {part: [] for part in groups}
    for iteration in range(ITERATIONS[-1] + 1):
        if iteration in ITERATIONS:
            for part, group in groups.items():
                rates[part].append(group['lr'])
        for scheduler in schedulers:
            scheduler.step()
    return rates


# There is nothing to optimize here.
@pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step')
@pytest.mark.parametrize('kind', RATES)
def test_learning_rate(kind):
    first, *others = [load(name) for name in PUBLISHED if TABLE[name][3] == kind]
    for other in others:
        assert (other.optim_wrapper, other.param_scheduler) == (first.optim_wrapper, first.param_scheduler)
    rates = stepped_rates(first)
    assert rates.keys() == RATES[kind].keys()
    for part, expected in RATES[kind].items():
        assert rates[part] == pytest.approx(expected, rel=1e-6, abs=1e-15), part


# Config -> decay, how many parameters do not decay and which, parts at ten times the rate. MiT-B0: a norm per patch
# embedding (4), stage (4), two per block (16) and one per block that reduces its keys (6), a weight and a bias each.
# ViT-S: two norms per block and the last one (50), two LayerScales per block (24), positions, class and registers (3).
MIT_NORMS = r'backbone\.layers\.\d\.(0\.norm|1\.\d+\.(norm[12]|attn\.norm)|2)\.(weight|bias)$'
VIT_INPUTS = r'backbone\.net\.((norm|blocks\.\d+\.norm[12])\.|pos_embed|cls_token|reg_token|blocks\.\d+\.ls[12]\.gamma)'
DECAY = {'gta2cs_daformer': (0.01, 60, MIT_NORMS, ('decode_head', )),
         'gta2cs_quadmix': (0.01, 60, MIT_NORMS, ('decode_head', )),
         'gta2cs_dacs': (0.01, 0, 'nothing', ('decode_head', )),
         'gta2cs_quadmix_cnn': (0.01, 0, 'nothing', ('decode_head', )),
         'gta2cs_quadmix_dinov2': (0.01, 77, VIT_INPUTS, ('decode_head', 'neck')),
         'gta2cs_minent': (5e-4, 0, 'nothing', ()),
         'gta2cs_advseg': (5e-4, 0, 'nothing', ())}


@pytest.mark.parametrize('name', DECAY)
def test_which_parameters_decay_and_learn_faster(name):
    decay, number, pattern, fast = DECAY[name]
    config = Config.fromfile(CONFIGS / f'{name}.py')
    shrink_network(config.model.student)
    if name.endswith('dinov2'):
        # The smallest with registers and LayerScale.
        config.model.student.backbone.name = 'vit_small_patch14_reg4_dinov2'
    model = nn.ModuleDict({'student': MODELS.build(config.model.student)})
    groups = settings(model, build_optim_wrapper(model, config.optim_wrapper.get('student', config.optim_wrapper)))
    base = OPTIMIZERS[TABLE[name][3]][0]['lr']
    exempt = {parameter for parameter in groups if re.search(pattern, parameter)}
    assert len(exempt) == number
    for parameter, group in groups.items():
        assert group['weight_decay'] == (0 if parameter in exempt else decay), parameter
        assert group['lr'] == pytest.approx(10 * base if parameter.split('.')[1] in fast else base), parameter
