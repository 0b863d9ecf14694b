"""Load a trained network: from a checkpoint, which carries its config or is given one, or from an exported folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.models.segmentors.base import BaseSegmentor
from mmseg.registry import DATASETS, MODELS
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from udass.engine.config import apply_options, check_components, load_config
from udass.engine.config_files import checked_config, first_dataset, inference_config
from udass.engine.data_loader import check_class_count
from udass.models.backbones.lora import has_lora, merge_lora
from udass.models.checkpoints import convert, load_strictly, read_checkpoint, weights_of
from udass.uda.networks import split_networks

CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
# Of an exported folder, under the names that the Hugging Face Hub knows.
EXPORTED_CONFIG, EXPORTED_WEIGHTS = 'config.json', 'model.safetensors'
_PUBLISHED = ('model.backbone.', 'ema_model.backbone.')
Palette = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class LoadedNetwork:
    """A segmentor ready to use.

    Attributes:
        network: in evaluation mode, on its device.
        classes: names by id.
        palette: RGB colours by id.
        test_pipeline: configs of the transforms that the network is tested with; empty if the config has none.
        branch: ``student`` or ``teacher``.
        origin: file of the weights.
        config: of the network.
    """

    network: BaseSegmentor
    classes: tuple[str, ...]
    palette: Palette
    test_pipeline: tuple[Mapping, ...]
    branch: str
    origin: str
    config: Mapping


def load_network(
    config_or_checkpoint: str | Path,
    checkpoint: str | Path | None = None,
    branch: str | None = None,
    device: str | torch.device | None = None,
    options: Mapping | None = None,
) -> LoadedNetwork:
    """Build the network of a config and fill it completely.

    Args:
        config_or_checkpoint: config file; or a checkpoint of a training with this project, which carries its config; or
            a folder that ``udass export`` wrote.
        checkpoint: with a config: a checkpoint of a training, a converted file, or a published one that needs no code
            to be read.
        branch: ``student`` or ``teacher``; None is the one that the config tests.
        device: None is the GPU if there is one.
        options: settings that replace those of the config, dotted key -> value.

    Raises:
        FileNotFoundError, ValueError: a file does not exist, the files do not fit each other, the checkpoint has no
            config or no such branch, or there is no such device.
    """
    path, config, content = _read(config_or_checkpoint, checkpoint, options)
    model = config.get('model')
    if model is None:
        raise ValueError(
            f'{config_or_checkpoint} has no model: give the config of an experiment, such as configs/streets_quadmix.py'
        )
    branch = branch or model.get('eval_branch', 'student')
    if branch not in ('student', 'teacher'):
        raise ValueError(f'branch is student or teacher, got {branch!r}')
    device = find_device(device)
    init_default_scope(config.get('default_scope', 'mmseg'))
    settings = model.get('student', model)
    # Merged into the weights, so that the network is a plain one.
    lora = settings.backbone.pop('lora', None) if 'backbone' in settings else None
    try:
        # Without start weights: these are replaced anyway.
        network = MODELS.build(dict(settings))
    except KeyError as error:
        raise ValueError(f'{config_or_checkpoint}: {error.args[0] if error.args else error}') from error
    if not isinstance(network, BaseSegmentor):
        raise ValueError(f'{config_or_checkpoint}: {type(network).__name__} is not a segmentor of MMSegmentation')
    classes, palette = _classes(config, content, path, is_stored=checkpoint is None)
    check_class_count(network, SimpleNamespace(metainfo={'classes': classes}))
    load_strictly(network, _weights(content, path, branch, network, lora), f'{branch} of {path}')
    tested = config.get('test_dataloader') or config.get('val_dataloader')
    pipeline = () if tested is None else tuple(first_dataset(tested['dataset']).get('pipeline', ()))
    return LoadedNetwork(network.eval().to(device), classes, palette, pipeline, branch, str(path), settings)


def find_device(device: str | torch.device | None) -> torch.device:
    """The device, None being the GPU if there is one; ValueError if there is no such device."""
    if device is None:
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f'device {device!r} is unknown: use cpu, cuda or cuda:<number>') from error
    count = torch.cuda.device_count()
    if found.type == 'cuda' and (found.index or 0) >= count:
        raise ValueError(f'device {device} does not exist: torch sees {count} CUDA devices (`udass env`); use cpu')
    return found


def _read(first: str | Path, checkpoint: str | Path | None, options: Mapping | None) -> tuple[str | Path, Config, dict]:
    """Path of the weights, config, and content of the checkpoint."""
    if Path(first).suffix.lower() in CONFIG_SUFFIXES:
        if checkpoint is None:
            raise ValueError(f'{first} is a config: give the checkpoint of its network, too')
        return checkpoint, load_config(first, options), read_checkpoint(checkpoint)
    if checkpoint is not None:
        raise ValueError(
            f'{first} is not a config ({", ".join(CONFIG_SUFFIXES)}): give either a checkpoint alone, or the config '
            f'first and then the checkpoint; got {first} and {checkpoint}'
        )
    if Path(first).is_dir():
        first, config, content = _read_exported(Path(first))
    else:
        content = read_checkpoint(first)
        config = inference_config(content, first)
    if options:
        apply_options(config, options)
        check_components(config.to_dict())
    return first, config, content


def _read_exported(folder: Path) -> tuple[Path, Config, dict]:
    """Path of the weights, config, and content as of a checkpoint."""
    path = folder / EXPORTED_WEIGHTS
    for file in (folder / EXPORTED_CONFIG, path):
        if not file.is_file():
            raise FileNotFoundError(
                f'{file} does not exist: `udass export CHECKPOINT --out {folder} --format safetensors` writes it'
            )
    try:
        told = json.loads((folder / EXPORTED_CONFIG).read_text(encoding='utf-8'))
        # mmcv knows a size by its type.
        resizes = [
            {key: tuple(value) if key == 'scale' and isinstance(value, list) else value for key, value in step.items()}
            for step in told['resize']
        ]
        dataset = {
            'pipeline': [{'type': 'LoadImage', 'bit_depth': told['bit_depth']}, *resizes],
            'metainfo': {'classes': told['classes'], 'palette': told['palette']},
        }
        config = Config({'model': told['network'], 'test_dataloader': {'dataset': dataset}})
        weights = load_file(path)
    except (json.JSONDecodeError, SafetensorError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f'{folder} cannot be read ({type(error).__name__}: {error}): {EXPORTED_CONFIG} or {EXPORTED_WEIGHTS} is '
            'damaged, or of another program; export the network again'
        ) from error
    return path, checked_config(config, folder / EXPORTED_CONFIG), {'state_dict': weights, 'meta': {}}


def _weights(
    content: Mapping, path: str | Path, branch: str, network: nn.Module, lora: Mapping | None
) -> dict[str, Tensor]:
    """Weights of a network without LoRA; ``lora`` are the settings of that of the trained one."""
    weights = weights_of(content, path)
    if any(key.startswith(_PUBLISHED) for key in weights):
        return convert(weights, branch=branch).weights
    found = split_networks(weights)
    if branch not in found:
        raise ValueError(f'{path} has no {branch}; it has {" and ".join(found)}: choose another branch')
    if lora is not None and has_lora(found[branch]):
        return merge_lora(found[branch], lora['rank'], lora['alpha'])
    if found[branch].keys() <= network.state_dict().keys():
        return found[branch]
    try:
        return convert(found[branch]).weights
    except ValueError:
        # The comparison with the network has the better message.
        return found[branch]


def _classes(config: Config, content: Mapping, path: str | Path, is_stored: bool) -> tuple[tuple[str, ...], Palette]:
    """Names and colours, from the data set that the network is tested on, or else from the checkpoint; no data set is
    built of a config that is stored in it."""
    loaders = [config.get('test_dataloader'), config.get('val_dataloader')]
    loaders.append((config.get('train_dataloader') or {}).get('source'))
    dataset = next((first_dataset(loader['dataset']) for loader in loaders if loader and 'dataset' in loader), None)
    trained = (content.get('meta') or {}).get('dataset_meta') or {}
    if dataset is None:
        meta = trained
    elif is_stored:
        meta = {**dataset.get('metainfo', {}), **trained}
    else:
        # Looks for no file.
        built = DATASETS.build({**dataset, 'pipeline': [], 'lazy_init': True}).metainfo
        meta = built if 'classes' in built else trained
    if 'classes' not in meta or meta.get('palette') is None:
        raise ValueError(
            f'neither the config nor {path} has the classes and colours (classes, palette) of the network: give a '
            'config with a test_dataloader'
        )
    return tuple(meta['classes']), tuple(tuple(int(part) for part in colour) for colour in meta['palette'])
