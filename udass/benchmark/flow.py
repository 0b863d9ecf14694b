"""What optical flow and warping cost."""

from functools import partial

import cv2
import numpy as np
import torch

from udass.benchmark.timing import time_in_turns
from udass.flow import DISFlow, warp

_MOTION = (7.0, 3.0)


def frame_pair(size: tuple[int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two frames (H, W, 3) uint8 of a cloudy picture that moves by a few pixels."""
    height, width = size
    clouds = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    first = cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)
    shift = np.array([[1, 0, _MOTION[0]], [0, 1, _MOTION[1]]], np.float32)
    return first, cv2.warpAffine(first, shift, (width, height), borderMode=cv2.BORDER_REFLECT)


def benchmark_flow(
    size: tuple[int, int], repeats: int, warmup: int, device: torch.device, presets: list[str], num_classes: int = 19
) -> dict:
    """Seconds of DIS per pair of frames (always on the CPU), and of warping scores along the flow."""
    first, second = frame_pair(size)
    scores = torch.rand(1, num_classes, *size).to(device)
    flow = torch.from_numpy(DISFlow()(first, second)).permute(2, 0, 1)[None].to(device)
    candidates = {f'DIS {preset}': partial(DISFlow(preset), first, second) for preset in presets}
    candidates[f'warping {num_classes} scores'] = partial(warp, scores, flow)
    timings = time_in_turns(candidates, repeats, warmup, device)
    return {'size': list(size), 'rows': {name: timing.to_dict() for name, timing in timings.items()}}
