"""Reading weight files without running code from them, and fetching published ones."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.runner import CheckpointLoader
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from udass.io.checksums import check_checksum

# Metrics in the records of training code are NumPy numbers; building one runs no code.
_number = np.float64().__reduce__()[0]
_HARMLESS: list = [
    _number,
    (_number, 'numpy.core.multiarray.scalar'),  # its name in files of NumPy 1
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
    np.dtypes.Int64DType,
]
_OVERRIDE = (
    'To use a file of your own, name it in the config or on the command line, for instance '
    '`--cfg-options model.student.backbone.init_cfg.checkpoint=FILE`; '
    '`model.student.backbone.init_cfg=None` starts from random weights'
)


def read_checkpoint(path: str | Path, map_location: str | torch.device = 'cpu') -> dict:
    """The content of a file of torch.save, read with ``weights_only=True`` after its checksums are compared.

    A bare state dict is put under the name ``state_dict``. A config under ``meta['config']`` is left out, because
    mmengine runs it as Python when it resumes. FileNotFoundError if there is no such file, ValueError if it needs code
    to be read, is damaged, or holds no state dict.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path} does not exist')
    try:
        check_checksum(path)
        with torch.serialization.safe_globals(_HARMLESS):
            content = torch.load(path, map_location=map_location, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # bytes that are no checkpoint make the reader fail in any way
        raise ValueError(_unreadable(path, error)) from error
    if not isinstance(content, Mapping):
        raise ValueError(f'{path} holds a {type(content).__name__}, not a state dict or a checkpoint with one')
    content = dict(content)
    if isinstance(content.get('meta'), Mapping):
        content['meta'] = {key: value for key, value in content['meta'].items() if key != 'config'}
    if 'state_dict' not in content:
        # Classification code bases, the DINO family among them, say `model`.
        nested = content.get('model')
        content = {'state_dict': nested if isinstance(nested, Mapping) else content}
    return content


def weights_of(checkpoint: Mapping, path: str | Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint's state dict; a ``module.`` that data parallelism left on every key is removed.
    ValueError if the state dict is empty or holds other things than tensors."""
    weights = dict(checkpoint['state_dict'])
    # Counters and generators of training components; networks have none.
    weights = {key: value for key, value in weights.items() if not key.endswith('_extra_state')}
    strange = [key for key, value in weights.items() if not isinstance(value, Tensor)]
    if strange or not weights:
        found = f'entries that are not tensors: {", ".join(map(str, strange[:10]))}' if strange else 'nothing'
        raise ValueError(f'{path} has no usable state dict, but {found}: give a file of weights')
    if all(key.startswith('module.') for key in weights):
        weights = {key.removeprefix('module.'): value for key, value in weights.items()}
    return weights


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file or of a checkpoint's state dict; errors as of both steps above."""
    path = Path(path).expanduser()
    if path.suffix != '.safetensors':
        return weights_of(read_checkpoint(path), path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(_unreadable(path, error)) from error


def local_file(source: str | Path) -> Path:
    """The path of a weight file, downloaded once into torch's hub folder if ``source`` is a URL; FileNotFoundError if
    it does not exist or cannot be fetched."""
    url = urlparse(str(source))
    if url.scheme not in ('http', 'https'):
        path = Path(source).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'weight file {path} does not exist. {_OVERRIDE}')
        return path
    path = Path(torch.hub.get_dir()) / 'checkpoints' / Path(url.path).name
    if path.is_file():
        return path
    digest = re.search(r'-([0-9a-f]{8,})\.', path.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(str(source), str(path), hash_prefix=digest and digest[1])
    except (OSError, RuntimeError) as error:
        raise FileNotFoundError(
            f'{source} could not be fetched ({type(error).__name__}: {error}). Without a '
            f'connection, fetch it elsewhere and put it at {path}. {_OVERRIDE}'
        ) from error
    return path


# mmengine and mmseg read files by this loader (`Pretrained`, `pretrained=...`); its own readers run code from them.
@CheckpointLoader.register_scheme(prefixes=('', 'http://', 'https://'), force=True)
def _load_for_mmengine(filename: str, map_location: str | torch.device = 'cpu') -> dict:
    """A checkpoint without the configs in it, which mmengine's inferencers would run."""
    checkpoint = read_checkpoint(local_file(filename), map_location)
    for settings in (checkpoint.get('meta'), (checkpoint.get('message_hub') or {}).get('runtime_info')):
        if isinstance(settings, dict):
            settings.pop('cfg', None)
    return checkpoint


@CheckpointLoader.register_scheme(
    prefixes=tuple(scheme for scheme in CheckpointLoader._schemes if '://' in scheme and not scheme.startswith('http')),
    force=True,
)
def _refuse_scheme(filename: str, map_location: str | torch.device = 'cpu') -> dict:
    raise ValueError(
        f'{filename} names a collection whose files would be read with pickle, which can run any code: '
        'give a local file or an https URL'
    )


def _unreadable(path: Path, error: Exception) -> str:
    code = re.search(r'GLOBAL (\S+)', str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if code is not None:
        return (
            f'{path} needs {code[1]} to be read. A checkpoint is a program: reading such an object can run any code, '
            'so files are read with weights_only=True, and nothing of this one was executed. If you trust where it '
            'comes from, reduce it to its tensors once, where it can do no harm: '
            "`torch.save({'state_dict': torch.load(FILE, weights_only=False)['state_dict']}, NEW)`"
        )
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return (
        f'{path} is not a readable checkpoint ({reason}); it must be a file of torch.save or safetensors. Copy or '
        'download it again if it was cut off'
    )
