"""Estimators of optical flow between two images."""

import hashlib
from pathlib import Path
from typing import Protocol
from urllib.error import URLError

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.utils.data import get_worker_info
from torchvision.models import optical_flow

from udass.io.checksums import check_checksum

_DIS_PRESETS = {
    'ultrafast': cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    'fast': cv2.DISOPTICAL_FLOW_PRESET_FAST,
    'medium': cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
# Below it some shapes crash OpenCV 4.14 (a level of its pyramid gets smaller than a patch).
_DIS_SMALLEST = 32
_RAFT = {
    'small': (optical_flow.raft_small, optical_flow.Raft_Small_Weights.DEFAULT),
    'large': (optical_flow.raft_large, optical_flow.Raft_Large_Weights.DEFAULT),
}
# RAFT works on an eighth of the size, and its coarsest correlations on a sixteenth of that.
_RAFT_STEP, _RAFT_SMALLEST = 8, 128


class Estimator(Protocol):
    """Flow (H, W, 2) float32 in pixels (dx, dy) from the first to the second of two frames (H, W, 3) uint8 RGB.

    ``concurrent`` says whether several threads may call it at once.
    """

    concurrent: bool

    @property
    def key(self) -> str:
        """A name for files and folders that differs wherever the settings change the result."""

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray: ...


@MODELS.register_module()
class DISFlow:
    """Dense inverse search of OpenCV: no weights, fast on a CPU.

    Source: Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016.

    Args:
        preset: 'ultrafast', 'fast' or 'medium' (the most accurate).
    """

    concurrent = True

    def __init__(self, preset: str = 'medium') -> None:
        if preset not in _DIS_PRESETS:
            raise ValueError(f'DISFlow: preset is one of {list(_DIS_PRESETS)}, got {preset!r}')
        self.preset = preset

    @property
    def key(self) -> str:
        """E.g. 'dis_medium'."""
        return f'dis_{self.preset}'

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Flow (H, W, 2) from the first to the second frame; ValueError if these are not RGB images of one size, or too
        small."""
        height, width = _frame_size(first, second)
        if min(height, width) < _DIS_SMALLEST:
            raise ValueError(f'DISFlow needs frames of at least {_DIS_SMALLEST} pixels a side, got {width}x{height}')
        # One per call: its buffers must not be shared between threads, and it cannot be sent to other processes.
        search = cv2.DISOpticalFlow.create(_DIS_PRESETS[self.preset])
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (first, second)]
        return search.calc(*grey, None)  # type: ignore[call-overload]  # its stubs lack flow=None


@MODELS.register_module()
class RAFTFlow:
    """RAFT as in torchvision, meant for a GPU. The network is loaded at the first call.

    Source: Teed and Deng, "RAFT: recurrent all-pairs field transforms for optical flow", ECCV 2020.

    Args:
        variant: 'small' or 'large'.
        checkpoint: file with the weights under torchvision's names; None = torchvision's default weights, fetched once
            into torch's hub folder.
        iterations: refinements; torchvision's default is 12.
        device: e.g. 'cuda:0'; None = the GPU if there is one.
    """

    concurrent = False

    def __init__(
        self, variant: str = 'large', checkpoint: str | None = None, iterations: int = 12, device: str | None = None
    ) -> None:
        if variant not in _RAFT or iterations < 1:
            raise ValueError(
                f'RAFTFlow: variant is one of {list(_RAFT)} and iterations at least 1, got {variant!r} and {iterations}'
            )
        self.checkpoint = None if checkpoint is None else Path(checkpoint).expanduser()
        if self.checkpoint is not None and not self.checkpoint.is_file():
            raise FileNotFoundError(
                f'RAFTFlow: the weight file {checkpoint} does not exist; correct checkpoint, or leave it out to fetch '
                'the weights of torchvision'
            )
        self.variant, self.iterations = variant, iterations
        self.device = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        self._network: nn.Module | None = None
        self._key = ''

    @property
    def key(self) -> str:
        """E.g. 'raft_large_12_C_T_SKHT_V2'; a checkpoint is named by its content."""
        if not self._key:
            if self.checkpoint is None:
                weights = _RAFT[self.variant][1].name
            else:
                weights = hashlib.sha256(self.checkpoint.read_bytes()).hexdigest()[:12]
            self._key = f'raft_{self.variant}_{self.iterations}_{weights}'
        return self._key

    @torch.no_grad()
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Flow (H, W, 2) from the first to the second frame; errors as ``DISFlow``, and those of reading weights."""
        height, width = _frame_size(first, second)
        if self._network is None:
            self._network = self._load()
        frames = (self._prepare(frame) for frame in (first, second))
        flow = self._network(*frames, num_flow_updates=self.iterations)[-1]
        return np.ascontiguousarray(flow[0, :, :height, :width].permute(1, 2, 0).float().cpu().numpy())

    def _prepare(self, frame: np.ndarray) -> Tensor:
        """(1, 3, H', W') in [-1, 1] on the device, H' and W' padded at the right and the bottom to what RAFT takes."""
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self.device).permute(2, 0, 1).unsqueeze(0)
        extra = [max(-(-side // _RAFT_STEP) * _RAFT_STEP, _RAFT_SMALLEST) - side for side in frame.shape[:2]]
        return F.pad(pixels.float() / 127.5 - 1, (0, extra[1], 0, extra[0]), mode='replicate')

    def _load(self) -> nn.Module:
        if self.device.type == 'cuda' and get_worker_info() is not None:
            raise ValueError(
                'RAFTFlow cannot use the GPU inside a loader worker: compute the flow beforehand with '
                'udass flow, set num_workers=0, or choose DISFlow'
            )
        build, published = _RAFT[self.variant]
        network = build(weights=None)
        if self.checkpoint is not None:
            _load_file(network, self.checkpoint)
        else:
            try:
                network.load_state_dict(published.get_state_dict(progress=False, check_hash=True))
            except (URLError, OSError) as error:
                raise FileNotFoundError(
                    f'the weights {published.url} could not be fetched ({error}). Fetch them elsewhere and give the '
                    f'file as checkpoint of RAFTFlow, or put it into {torch.hub.get_dir()}/checkpoints'
                ) from error
        return network.eval().to(self.device)


def _load_file(network: nn.Module, path: Path) -> None:
    """Fill a network completely from a file of torch.save, without running code of the file."""
    try:
        check_checksum(path)
        state = torch.load(path, map_location='cpu', weights_only=True)
    except OSError:
        raise
    except Exception as error:  # bytes that are no weights make the reader fail in any way
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(
            f'{path} cannot be read as weights ({reason}); it must be a file of torch.save that holds tensors only'
        ) from error
    try:
        state = state.get('state_dict', state)
        network.load_state_dict({key.removeprefix('module.'): value for key, value in state.items()})
    except (AttributeError, RuntimeError) as error:
        raise ValueError(
            f'{path} does not fit this variant of RAFT: {error}. Use weights of torchvision and check variant'
        ) from error


def _frame_size(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """(H, W) of two frames; ValueError if they are not RGB images of one size."""
    for frame in (first, second):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f'a frame is (H, W, 3) uint8 RGB, got {frame.dtype} {frame.shape}')
    (height, width, _), (other_height, other_width, _) = first.shape, second.shape
    if first.shape != second.shape:
        raise ValueError(f'flow needs two frames of one size, got {width}x{height} and {other_width}x{other_height}')
    return height, width
