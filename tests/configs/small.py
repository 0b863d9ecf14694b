"""Published configs at the size of a test: the same recipe on small networks, crops and files."""

from pathlib import Path

from mmengine.config import Config, ConfigDict

from tests.datasets.published import (
    write_acdc,
    write_bdd_vid,
    write_cityscapes,
    write_cityscapes_snippet,
    write_dark_zurich,
    write_gta,
    write_synthia,
    write_synthia_seq,
    write_viper,
)
from tests.models import small as small_networks  # noqa: F401  registers ShallowCaffeResNet
from tests.uda import small as tiny_networks  # noqa: F401  registers vit_4_blocks

CONFIGS = Path(__file__).parents[2] / 'configs'
PUBLISHED = sorted(path.stem for path in CONFIGS.glob('*.py') if path.stem.startswith(('gta2', 'syn2', 'cs2')))
VIDEO = sorted(path.stem for pattern in ('*2csseq_*.py', '*2bdd_*.py') for path in CONFIGS.glob(pattern))
CROP = 128
# Crops of the published configs and of HRDA's detail shrink alike: 1024 and 512 to 128 and 64.
DETAIL = 64
WIDTH = 256


def write_data(root: Path) -> Path:
    """A file per split of every data set; each image shows stuff, two things and rare classes in stripes."""
    for name in ('00001', '00002'):
        write_gta(root / 'gta', name, ids=(7, 26, 12, 33))  # road, car, wall, bicycle
        write_synthia(root / 'synthia', name, ids=(3, 8, 21, 11))  # the same in its coding
    for split in ('train', 'val'):
        write_cityscapes(root / 'cityscapes', split, ids=(7, 26, 13, 33))  # road, car, fence, bicycle
        write_acdc(root / 'acdc', 'fog', split, ids=(0, 13, 4, 18))
        write_dark_zurich(root / 'dark_zurich', split, labelled=split == 'val', ids=(0, 13, 4, 18))
        write_cityscapes_snippet(root / 'cityscapes', split, ids=(7, 26, 13, 33), first=17, length=3)
    for split in ('train', 'val_orig_10k'):
        write_bdd_vid(root / 'bddvid', split, ids=(0, 13, 4, 18))
    write_viper(root / 'viper', frames=(9, 10, 19, 20), ids=(3, 24, 11, 22))  # road, car, fence, bicycle
    write_synthia_seq(root / 'synthia_seq', ids=(3, 8, 5, 11))  # road, car, fence, rider
    return root


def shrink_network(segmentor: ConfigDict) -> None:
    """The smallest network of the same kind, without weights to fetch."""
    backbone, head = segmentor.backbone, segmentor.decode_head
    heads = [head.head, head.scale_attention] if head.type == 'HRDAHead' else [head]
    if backbone.type == 'MiT':
        backbone.update(variant='b0', init_cfg=None)
        changes = dict(in_channels=[32, 64, 160, 256], embed_channels=16, channels=16)
    elif backbone.type == 'ResNetV1c':
        backbone.update(depth=18, stem_channels=16, base_channels=16, init_cfg=None)
        changes = dict(in_channels=128)
    elif backbone.type == 'CaffeResNet':
        backbone.update(type='ShallowCaffeResNet', depth=50, init_cfg=None)
        changes = dict(channels=16) if head.type == 'ACCELHead' else {}
    elif backbone.type == 'ViTAdapter':
        backbone.update(name='vit_4_blocks', pretrained=False)
        changes = dict(in_channels=[64] * 4)
    else:
        assert backbone.type in ('DINOv2', 'TimmViT')
        backbone.update(name='test_vit', checkpoint=None, pretrained=False)
        # Crops are enlarged, too: 128 pixels to 144.
        backbone.update(dict(multiple=48) if backbone.type == 'DINOv2' else dict(out_indices=[5]))
        changes = dict(in_channels=64)
    for each in heads:
        each.update(changes)
    if head.type == 'HRDAHead':
        segmentor.crop_size = (DETAIL, DETAIL)
    if segmentor.test_cfg.mode == 'slide':
        segmentor.test_cfg.update(crop_size=(CROP, CROP), stride=(CROP // 2, CROP // 2))


def shrink_data(config: Config, root: Path) -> None:
    """Small images and crops, read in this process."""
    loaders = (*config.train_dataloader.values(), config.val_dataloader, config.test_dataloader)
    pipelines = [loader.dataset.pipeline for loader in loaders]
    pipelines.append((config.train_cfg.get('long_tail') or {}).get('pipeline', []))
    for loader in loaders:
        loader.num_workers = 0
        loader.dataset.data_root = str(root / Path(loader.dataset.data_root).name)
    for pipeline in pipelines:
        for transform in pipeline:
            if transform.type in ('RandomResize', 'ResizeToCover'):
                transform.scale = tuple(side // 8 for side in transform.scale)
            elif transform.type == 'PadToCover':
                transform.scale = (CROP, CROP)
            elif transform.type == 'Resize':
                width, height = transform.scale
                transform.scale = (WIDTH, WIDTH * height // width)
            elif transform.type == 'ClipResize':
                transform.scale = tuple(side // 8 for side in transform.scale)
            elif transform.type == 'ClipCrop':
                transform.crop_size = tuple(side // 8 for side in transform.crop_size)
            elif transform.type == 'LoadFlow':
                transform.cache.update(folder=str(root / 'flow'), root=str(root))
            elif transform.type == 'RareClassCrop':
                transform.crop_size = (CROP, CROP)
    sampling = config.train_cfg.get('source_sampling')
    if sampling is not None:
        sampling.min_pixels = 20


def small_config(name: str, data: Path, work_dir: Path, max_iters: int = 2) -> Config:
    """A published config that trains for two iterations, the second of them with QuadMix, and then validates."""
    config = Config.fromfile(CONFIGS / f'{name}.py')
    shrink_network(config.model.student)
    shrink_data(config, data)
    masking, distillation = config.model.get('masking'), config.model.get('distillation')
    if masking is not None and masking.type == 'BlockMasking':
        # As many blocks per crop as published: 16 in a row.
        masking.block_size = CROP // 16
        masking.multiple = 32 if masking.get('multiple', 1) > 1 else 1
    if distillation is not None:
        distillation.frozen.update(name='test_vit', out_indices=[5], stride=16, pretrained=False)
        distillation.size = (48, 48)
    if config.model.get('mixing', {}).get('type') == 'QuadMix':
        config.model.mixing.start_iter = 1
    if config.model.get('source_size') is not None:
        config.model.source_size = tuple(side // 8 for side in config.model.source_size)
    if config.model.get('mixing', {}).get('window_rows') is not None:
        config.model.mixing.window_rows = tuple(row // 8 for row in config.model.mixing.window_rows)
    if config.model.get('feature_mixing') is not None:
        config.model.feature_mixing.start_iter = 1
    if config.optim_wrapper.get('accumulative_counts', 1) > 1:
        config.optim_wrapper.accumulative_counts = 2
    config.train_cfg.max_iters = max_iters
    config.default_hooks.logger.interval = 1
    config.work_dir = str(work_dir)
    config.experiment_name = work_dir.name
    return config
