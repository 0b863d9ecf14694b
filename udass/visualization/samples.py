"""Samples of the loaders and passes of the training step as captioned tiles. Drawing only.

Shapes: N batch, T frames (index 0 is the one to segment), H, W pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import numpy as np
import torch
from torch import Tensor
from torchvision.utils import flow_to_image

from udass.visualization.canvas import blank, overlay_labels, write
from udass.visualization.pages import Tile
from udass.visualization.panels import panel_columns


def sample_tiles(
    inputs: Tensor, sample: object, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> list[Tile]:
    """One sample of a loader: frames, labels over them, flow between them, where pseudo-labels are trusted.

    Args:
        inputs: image (3, H, W) or clip (T, 3, H, W), uint8 BGR.
        sample: its data sample; what it does not have is not drawn.
        classes: names by id.
        palette: RGB colours by id.
    """
    frames = inputs if inputs.dim() == 4 else inputs[None]
    images = np.ascontiguousarray(frames.flip(1).permute(0, 2, 3, 1).cpu().numpy())
    paths = sample.metainfo.get('frame_paths') or [sample.metainfo.get('img_path', '')]
    labels = sample.gt_sem_seg.data.cpu().numpy() if 'gt_sem_seg' in sample else []
    tiles = []
    for number, image in enumerate(images):
        name = f'{frame_name(number, len(images))}{PurePath(str(paths[number])).name}'
        tiles.append(Tile(image, name if number else ', '.join([name, *_drawn(sample, classes)])))
        if number < len(labels) and (labels[number] < len(classes)).any():
            ignored = (labels[number] >= len(classes)).mean()
            tiles.append(Tile(overlay_labels(image, labels[number], palette), f'label, {ignored:.0%} ignored'))
    if 'flow' in sample:
        tiles += [
            flow_tile(flow, f'flow to {frame_name(number, len(images)).rstrip(": ")}')
            for number, flow in enumerate(sample.flow, start=1)
        ]
    if 'past_flow' in sample:
        tiles.append(flow_tile(sample.past_flow[0], 'flow of the past pair'))
    if 'valid_pseudo_mask' in sample:
        trusted = sample.valid_pseudo_mask.data[0].cpu().numpy()
        tiles.append(
            Tile(
                np.where(trusted[..., None], images[0], images[0] // 4),
                f'pseudo-labels trusted in {trusted.mean():.0%}',
            )
        )
    return tiles


def panel_tiles(panels: Mapping[str, Mapping], row: int, palette: Sequence[Sequence[int]]) -> list[list[Tile]]:
    """What the passes of one iteration make of one image of the batch, a group per pass: picture, label, confidence,
    and of clips the frame before and the flow to it.

    Args:
        panels: as of `draw_training_panel`.
        row: which image.
        palette: RGB colours by id.
    """
    groups = []
    first = [name for name in ('source', 'target') if name in panels]
    for name in [*first, *(name for name in panels if name not in first)]:
        panel = panels[name]
        if row >= len(panel['frames']):
            continue
        tiles = [Tile(pictures[row], title) for title, pictures in panel_columns(name, panel, palette)]
        for frame in panel['frames'][row, 1:2]:
            picture = frame.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
            tiles.append(Tile(picture, f'{tiles[0].caption}: frame t-1'))
        if panel.get('flow') is not None:
            tiles.append(flow_tile(panel['flow'][row, 0], f'{tiles[0].caption}: flow to t-1'))
        groups.append(tiles)
    return groups


def flow_tile(flow: Tensor, caption: str) -> Tile:
    """Flow (2, H, W) in pixels as colours, relative to its longest vector, which the caption names."""
    longest = flow.float().norm(dim=0).max().item()
    picture = flow_to_image(flow.float().cpu()) if longest > 0 else torch.full((3, *flow.shape[1:]), 255)
    return Tile(picture.to(torch.uint8).permute(1, 2, 0).numpy(), f'{caption}, at most {longest:.1f} px')


def frame_name(number: int, frames: int) -> str:
    """What to call a frame of a clip, with a colon; nothing for single images."""
    return '' if frames == 1 else f'{("t", "t-1", "t-k", "t-k-1")[number]}: '


def flow_key(width: int) -> np.ndarray:
    """The colour of every direction of motion, with a line that explains it."""
    radius = 36
    ys, xs = torch.meshgrid(*[torch.arange(-radius, radius + 1.0)] * 2, indexing='ij')
    field = torch.stack([xs, ys])
    field[:, field.norm(dim=0) > radius] = 0
    wheel = flow_to_image(field).permute(1, 2, 0).numpy()
    picture = blank(2 * radius + 13, width)
    picture[6 : 7 + 2 * radius, 6 : 7 + 2 * radius] = wheel
    text = 'flow: the colour is the direction from frame t to the other frame, pale is slow, full is the longest vector'
    return write(picture, text, (2 * radius + 20, radius + 6), 14, anchor='lm')


def _drawn(sample: object, classes: Sequence[str]) -> list[str]:
    """What rare-class or long-tail sampling looked for."""
    for key, text in (('paste_class', 'to paste'), ('rare_class', 'drawn for')):
        if sample.metainfo.get(key) is not None:
            return [f'{text} {classes[int(sample.metainfo[key])]}']
    return []
