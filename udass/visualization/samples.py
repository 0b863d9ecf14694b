"""Draw samples of the loaders and passes of a training step as tiles.

Shapes: N batch, T frames (index 0 is the one to segment), H, W pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import numpy as np
import torch
from mmseg.structures import SegDataSample
from torch import Tensor
from torchvision.utils import flow_to_image

from udass.visualization.canvas import Tile, blank, overlay_labels, write_text
from udass.visualization.panels import panel_columns, source_first


def sample_tiles(
    inputs: Tensor, sample: SegDataSample, classes: Sequence[str], palette: Sequence[Sequence[int]]
) -> list[Tile]:
    """Tiles of one sample of a loader, image (3, H, W) or clip (T, 3, H, W) uint8 BGR: frames, and of what its data
    sample has labels, flow, and where its pseudo-labels are trusted."""
    frames = inputs if inputs.dim() == 4 else inputs[None]
    images = np.ascontiguousarray(frames.flip(1).permute(0, 2, 3, 1).cpu().numpy())
    names = ('t', 't-1', 't-k', 't-k-1')[: len(images)]
    paths = sample.metainfo.get('frame_paths') or [sample.metainfo.get('img_path', '')]
    labels = sample.gt_sem_seg.data.cpu().numpy() if 'gt_sem_seg' in sample else []
    tiles = []
    for number, image in enumerate(images):
        caption = f'{names[number]}: ' * (len(images) > 1) + PurePath(str(paths[number])).name
        tiles.append(Tile(image, caption + _sampled_class(sample, classes) * (number == 0)))
        if number < len(labels) and (labels[number] < len(classes)).any():
            ignored = (labels[number] >= len(classes)).mean()
            tiles.append(Tile(overlay_labels(image, labels[number], palette), f'label, {ignored:.0%} ignored'))
    if 'flow' in sample:
        tiles += [flow_tile(flow, f'flow to {name}') for flow, name in zip(sample.flow, names[1:], strict=True)]
    if 'past_flow' in sample:
        tiles.append(flow_tile(sample.past_flow[0], 'flow of the past pair'))
    if 'valid_pseudo_mask' in sample:
        trusted = sample.valid_pseudo_mask.data[0].cpu().numpy()
        dimmed = np.where(trusted[..., None], images[0], images[0] // 4)
        tiles.append(Tile(dimmed, f'pseudo-labels trusted in {trusted.mean():.0%}'))
    return tiles


def panel_tiles(panels: Mapping[str, Mapping], row: int, palette: Sequence[Sequence[int]]) -> list[list[Tile]]:
    """Tiles of image ``row`` of the batch, a group per pass: image, label, confidence, and of clips frame t-1 and its
    flow; ``panels`` as of `draw_training_panel`."""
    groups = []
    for name in source_first(panels):
        panel = panels[name]
        if row >= len(panel['frames']):
            continue
        tiles = [Tile(images[row], title) for title, images in panel_columns(name, panel, palette)]
        for frame in panel['frames'][row, 1:2]:
            image = frame.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
            tiles.append(Tile(image, f'{tiles[0].caption}: frame t-1'))
        if panel.get('flow') is not None:
            tiles.append(flow_tile(panel['flow'][row, 0], f'{tiles[0].caption}: flow to t-1'))
        groups.append(tiles)
    return groups


def flow_tile(flow: Tensor, caption: str) -> Tile:
    """Flow (2, H, W) in pixels as colours, relative to its longest vector, which the caption names."""
    longest = flow.float().norm(dim=0).max().item()
    image = flow_to_image(flow.float().cpu()) if longest > 0 else torch.full((3, *flow.shape[1:]), 255)
    return Tile(image.to(torch.uint8).permute(1, 2, 0).numpy(), f'{caption}, at most {longest:.1f} px')


def flow_legend(width: int) -> np.ndarray:
    """The colour of every direction of motion, with an explanation."""
    radius = 36
    ys, xs = torch.meshgrid(*[torch.arange(-radius, radius + 1.0)] * 2, indexing='ij')
    field = torch.stack([xs, ys])
    field[:, field.norm(dim=0) > radius] = 0
    image = blank(2 * radius + 13, width)
    image[6:-6, 6 : 7 + 2 * radius] = flow_to_image(field).permute(1, 2, 0).numpy()
    text = 'flow: the colour is the direction from frame t to the other frame; the longest vector has the full colour'
    return write_text(image, text, (2 * radius + 20, radius + 6), 14, anchor='lm')


def _sampled_class(sample: SegDataSample, classes: Sequence[str]) -> str:
    """The class for which rare-class or long-tail sampling chose the sample."""
    for key, text in (('paste_class', 'to paste'), ('rare_class', 'drawn for')):
        if sample.metainfo.get(key) is not None:
            return f', {text} {classes[int(sample.metainfo[key])]}'
    return ''
