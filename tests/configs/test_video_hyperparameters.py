"""The hyperparameters of the video configs, against the published values."""
import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmseg.registry import PARAM_SCHEDULERS
from torch import nn

import udass  # noqa: F401
from tests.configs.small import CONFIGS, VIDEO

ACCEL, PLAIN = 'CaffeResNet 101 ACCELHead', 'CaffeResNet 101 DLV2Head'
DAFORMER, HRDA = 'MiT b5 DAFormerHead', 'MiT b5 HRDAHead'
HRDA_CNN = 'ResNetV1c 101 HRDAHead'
# Config -> network, method, lambda_T, draws of the long tail, intervals of the alignment, optimizer, its rate.
TABLE = {
    'viper2csseq_source_only': (ACCEL, 'source_only', None, None, None, 'SGD', 2.5e-4),
    'viper2csseq_tps': (PLAIN, 'tps', 0.1, None, None, 'SGD', 1e-4),
    'viper2csseq_quadmix': (DAFORMER, 'quadmix', 0.2, 3, 1, 'AdamW', 6e-5),
    'viper2csseq_quadmix_cnn': (ACCEL, 'quadmix', 0.2, 3, 2, 'SGD', 1e-4),
    'viper2csseq_mic': (HRDA, 'mic', None, None, None, 'AdamW', 6e-5),
    'viper2csseq_mic_rider_ignored': (HRDA, 'mic', None, None, None, 'AdamW', 6e-5),
    'viper2csseq_hrda': (HRDA, 'hrda', None, None, None, 'AdamW', 6e-5),
    'viper2csseq_hrda_rider_ignored': (HRDA, 'hrda', None, None, None, 'AdamW', 6e-5),
    'viper2csseq_hrda_accel_cnn': (HRDA_CNN, 'hrda', None, None, None, 'AdamW', 6e-5),
    'viper2bdd_mic': (HRDA, 'mic', None, None, None, 'AdamW', 6e-5),
    'viper2bdd_hrda': (HRDA, 'hrda', None, None, None, 'AdamW', 6e-5),
    'synseq2csseq_source_only': (ACCEL, 'source_only', None, None, None, 'SGD', 2.5e-4),
    'synseq2csseq_tps': (PLAIN, 'tps', 1.0, None, None, 'SGD', 2.5e-4),
    'synseq2csseq_quadmix': (DAFORMER, 'quadmix', 1.0, 2, 1, 'AdamW', 6e-5),
    'synseq2csseq_quadmix_cnn': (ACCEL, 'quadmix', 1.0, 2, 2, 'SGD', 2.5e-4),
    'synseq2csseq_mic': (HRDA, 'mic', None, None, None, 'AdamW', 6e-5),
    'synseq2csseq_hrda': (HRDA, 'hrda', None, None, None, 'AdamW', 6e-5),
    'synseq2csseq_hrda_accel_cnn': (HRDA_CNN, 'hrda', None, None, None, 'AdamW', 6e-5)}
STRONG = dict(type='StrongAugmentation')
# Rates as shares of the base rate at iterations 0, 750, 1500, 20,750 and 40,000.
ITERATIONS = (0, 750, 1500, 20_750, 40_000)
RATES = {'SGD': [(1 - iteration / 250_000) ** 0.9 for iteration in ITERATIONS],
         # Half of the decay from the end of the warm-up is over at 20,750.
         'AdamW': [1e-6, 0.5000005, 1, 0.5, 0]}


@pytest.fixture(autouse=True)
def scope():
    init_default_scope('mmseg')


def load(name):
    return Config.fromfile(CONFIGS / f'{name}.py')


def test_the_table_has_every_published_config():
    assert set(TABLE) == set(VIDEO)


@pytest.mark.parametrize('name', TABLE)
def test_network(name):
    segmentor, classes = load(name).model.student, 15 if name.startswith('viper') else 12
    backbone, head = segmentor.backbone, segmentor.decode_head
    assert f'{backbone.type} {backbone.get("depth") or backbone.variant} {head.type}' == TABLE[name][0]
    if head.type == 'HRDAHead':
        assert head.head.num_classes == head.scale_attention.num_classes == classes
        return
    assert segmentor.type == 'FlowGuidedEncoderDecoder' and head.num_classes == classes
    assert head.loss_decode.type == 'ValidCrossEntropy'
    if head.type == 'DAFormerHead':
        assert head.classifier_std is None
    else:
        assert head.dilations == (6, 12, 18, 24)
        if head.type == 'ACCELHead':
            assert (head.channels, head.dropout_ratio) == (256, 0.1)
        auxiliary = segmentor.auxiliary_head
        assert (auxiliary.num_classes, auxiliary.in_index, auxiliary.loss_decode.loss_weight) == (classes, 2, 0.1)
        assert segmentor.data_preprocessor.mean == [104.00698793, 116.66876762, 122.67891434]


@pytest.mark.parametrize('name', [name for name, row in TABLE.items() if row[1] in ('tps', 'quadmix')])
def test_method(name):
    _, method, share, draws, intervals, _, _ = TABLE[name]
    config = load(name)
    model = config.model
    assert model.type == 'VideoAdapter' and model.cross_frame.scale == share
    assert model.pseudo_labels == dict(type='CrossFramePseudoLabels', flip_probability=0.5)
    assert model.match_histograms is True
    if method == 'tps':
        assert model.ema.alpha == 0 and 'mixing' not in model and 'long_tail' not in config.train_cfg
        assert model.cross_frame.rescale == (0.8, 1.2) and model.strong_augmentation == STRONG
        return
    assert model.ema.alpha == 0.999
    mixing = model.mixing
    assert (mixing.confidence_threshold, mixing.source_classes, mixing.target_classes) == (0.9, 2, 2)
    assert (mixing.tss_scale, mixing.tst_scale) == (1, share)
    assert (model.centroid_alignment.weight, model.centroid_alignment.intervals) == (0.01, intervals)
    assert (config.train_cfg.long_tail.draws, config.train_cfg.long_tail.mixes) == (draws, 1)
    assert model.get('strong_augmentation') == (STRONG if name.startswith('synseq') else None)
    assert mixing.get('window_rows') == ((100, 128) if name.startswith('viper') else None)
    assert model.get('source_size') == (None if name.endswith('cnn') else (512, 1024))
    mixes_features = dict(type='FeatureMixing', own_share=0.7, start_iter=8000)
    assert model.get('feature_mixing') == (None if name.endswith('cnn') else mixes_features)


@pytest.mark.parametrize('name', TABLE)
def test_data(name):
    loaders = load(name).train_dataloader
    sizes = {transform.type: transform for transform in loaders.source.dataset.pipeline}
    wanted = {transform.type: transform for transform in loaders.target.dataset.pipeline}
    viper = name.startswith('viper')
    assert loaders.source.dataset.type == ('Viper' if viper else 'SynthiaSeq')
    assert ('CutBottomRows' in sizes) != viper
    if TABLE[name][1] in ('mic', 'hrda'):
        resize, crop = ('ClipResize', 'ClipCrop') if 'accel' in name else ('Resize', 'RareClassCrop')
        size, side = ((1280, 720), 720) if '2bdd_' in name else ((2048, 1024), 1024)
        assert sizes[resize].scale == ((2560, 1440) if viper else (2560, 1520)) and wanted[resize].scale == size
        assert (sizes[crop].crop_size, sizes[crop].cat_max_ratio) == ((side, side), 0.75)
        assert wanted[crop].crop_size == (side, side) and ('PseudoMargins' in wanted) == (side == 1024)
        assert loaders.source.batch_size == loaders.target.batch_size == 2
        return
    assert sizes['ClipResize'].scale == ((1280, 720) if viper else (1280, 760))
    assert wanted['ClipResize'].scale == (1024, 512)
    # Whole frames, never flipped; what is mixed is cut out in the step.
    assert not {'ClipCrop', 'ClipFlip'} & (set(sizes) | set(wanted))
    for pipeline in (sizes, wanted):
        assert (pipeline['ClipResize'].interpolation, pipeline['ClipResize'].backend) == ('bicubic', 'pillow')
    assert loaders.source.batch_size == loaders.target.batch_size == 1
    assert loaders.target.dataset.past == 1


class Tiny(nn.Module):
    """One parameter per part that has a rate of its own."""

    def __init__(self):
        super().__init__()
        self.student = nn.ModuleDict({part: nn.Linear(1, 1) for part in FASTER})


FASTER = {'backbone': 1, 'decode_head': 10, 'auxiliary_head': 10, 'fusion': 10}
# Whose rate the published loop of the CNN never lowers.
CONSTANT = ('decode_head', 'auxiliary_head')


# There is nothing to optimize here.
@pytest.mark.filterwarnings('ignore:Detected call of `scheduler.step')
@pytest.mark.parametrize('name', ['viper2csseq_quadmix', 'viper2csseq_quadmix_cnn', 'synseq2csseq_tps'])
def test_learning_rate(name):
    config = load(name)
    kind, base = TABLE[name][5:]
    wrapper = build_optim_wrapper(Tiny(), config.optim_wrapper)
    schedulers = [PARAM_SCHEDULERS.build({**entry, 'optimizer': wrapper}) for entry in config.param_scheduler]
    groups = {part: wrapper.param_groups[2 * i] for i, part in enumerate(FASTER)}
    found = {part: [] for part in FASTER}
    for iteration in range(ITERATIONS[-1] + 1):
        if iteration in ITERATIONS:
            for part, group in groups.items():
                found[part].append(group['lr'])
        for scheduler in schedulers:
            scheduler.step()
    for part, factor in FASTER.items():
        if kind == 'AdamW' and part == 'auxiliary_head':
            continue  # this network has none
        shares = [1.0] * len(ITERATIONS) if kind == 'SGD' and part in CONSTANT else RATES[kind]
        assert found[part] == pytest.approx([factor * base * share for share in shares], rel=1e-5, abs=1e-15), part


@pytest.mark.parametrize('name', TABLE)
def test_optimizer(name):
    config = load(name)
    kind, rate = TABLE[name][5:]
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == (kind, rate)
    if kind == 'SGD':
        assert (optimizer.momentum, optimizer.weight_decay) == (0.9, 5e-4)
    else:
        assert (optimizer.betas, optimizer.weight_decay) == ((0.9, 0.999), 0.01)
        norms = config.optim_wrapper.paramwise_cfg.get('norm_decay_mult', 1)
        assert norms == (1 if TABLE[name][0] == HRDA_CNN else 0)
    assert (config.train_cfg.max_iters, config.train_cfg.val_interval) == (40_000, 4000)
