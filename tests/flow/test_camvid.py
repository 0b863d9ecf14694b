"""On real video: CamVid's 0016E5, consecutive frames at 15 Hz, each labelled."""

import cv2
import numpy as np
import torch

from udass.flow import FlowCache, warp, warp_labels


def read(path):
    """(1, 3, H, W) float."""
    return torch.from_numpy(cv2.imread(str(path))).permute(2, 0, 1)[None].float()


def test_dis_brings_real_frames_and_their_labels_into_line(camvid_root, tmp_path):
    """Measured over 10 pairs: grey levels 14.4 -> 5.5 of 255, equal labels 94.1 -> 96.9 %."""
    cache = FlowCache(tmp_path, dict(type='DISFlow'), root=camvid_root)
    paths = sorted((camvid_root / 'images/val').glob('0016E5_*.jpg'))
    changed, agreement = [], []
    for previous, current in zip(paths[:-1:10], paths[1::10], strict=False):
        flow = torch.from_numpy(cache(current, previous)).permute(2, 0, 1)[None]
        before, now = read(previous), read(current)
        changed.append([(frame - now).abs().mean().item() for frame in (before, warp(before, flow))])
        files = (camvid_root / 'labels/val' / f'{path.stem}.png' for path in (previous, current))
        before, now = (torch.from_numpy(cv2.imread(str(file), -1))[None] for file in files)
        equal = [label == now for label in (before, warp_labels(before, flow))]
        agreement.append([part[now < 11].float().mean().item() for part in equal])
    before, after = np.mean(changed, axis=0)
    assert after < 0.6 * before, (before, after)
    before, after = np.mean(agreement, axis=0)
    assert after > before + 0.01, (before, after)
