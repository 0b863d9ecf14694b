"""Export a network to a folder: weights, graphs, settings and model card, compared with the network itself."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.export import ExportedProgram

from udass.export.card import model_card
from udass.export.graphs import run_onnx, run_pt2, trace, write_onnx, write_pt2
from udass.export.network import CARD, TrainedNetwork, load
from udass.inference import Segmenter
from udass.inference.loading import EXPORTED_CONFIG, EXPORTED_WEIGHTS
from udass.io.writing import temporary_path, write_text

FORMATS = ('safetensors', 'onnx', 'pt2')
# Largest difference of logits between a graph and the network.
TOLERANCE = 1e-3
_GRAPHS = {'onnx': (write_onnx, run_onnx), 'pt2': (write_pt2, run_pt2)}


def export(
    config_or_checkpoint: str | Path,
    checkpoint: str | Path | None = None,
    *,
    out: str | Path,
    formats: Sequence[str] = ('safetensors',),
    size: tuple[int, int] | None = None,
    dynamic: bool = False,
    ids: bool = False,
    check: bool = False,
    branch: str | None = None,
    options: dict | None = None,
) -> dict:
    """Write a trained network into a new folder, whole or not at all.

    Args:
        config_or_checkpoint, checkpoint, branch, options: see `udass.inference.load_network`.
        out: folder, new or empty.
        formats: of `FORMATS`: ``model.safetensors``, which `load` reads; ``model.onnx``; ``model.pt2``.
        size: height and width of the images that graphs take; None is the window that the network is tested with, or
            else the size that the test pipeline resizes to.
        dynamic: graphs take images of other sizes, too. They are compared with the network at three sizes.
        ids: graphs give class ids instead of logits.
        check: compare what was written with the network.

    Returns:
        The content of ``config.json``; ``files`` in it tells of each file what it takes, gives and, if it was compared,
        how far it is from the network.

    Raises:
        FileExistsError: the folder is not empty.
        ValueError: the network cannot be exported so, or a file does not give what the network gives.
    """
    # At their own size, images of a graph's size reach the network unchanged.
    segment = Segmenter(config_or_checkpoint, checkpoint, branch=branch, device='cpu', native=True, options=options)
    network, graphs = TrainedNetwork(segment), [name for name in formats if name in _GRAPHS]
    if dynamic and network.config['window']:
        raise ValueError(
            'the network is tested in windows of {}x{} pixels: leave dynamic (--dynamic) out, and the graph takes one '
            'window, or images of one size with the windows inside'.format(*network.config['window'])
        )
    if size is None and (graphs or check):
        size = graph_size(network.config)
    samples = [sample_image(one) for one in check_sizes(size, dynamic)] if check or dynamic and graphs else []
    with new_folder(Path(out)) as folder:
        files: dict[str, dict] = {}
        if 'safetensors' in formats:
            network.save_pretrained(folder)
            files[EXPORTED_WEIGHTS] = parity(EXPORTED_WEIGHTS, load(folder, device='cpu'), segment, samples)
        if graphs:
            about = {'size': list(size), 'dynamic': dynamic, 'output': 'ids' if ids else 'logits'}
            program = trace(network, size, dynamic=dynamic, ids=ids)
            files |= write_graphs(program, folder, graphs, about, segment, samples)
        config = {**network.config, 'files': files}
        write_text(folder / EXPORTED_CONFIG, json.dumps(config, indent=1) + '\n')
        write_text(folder / CARD, model_card(segment, config, Path(out).name))
    return config


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder; it becomes ``folder`` when the block ends without an error, or else is removed.
    FileExistsError if ``folder`` is there and not empty."""
    if folder.is_file() or folder.is_dir() and any(folder.iterdir()):
        raise FileExistsError(f'{folder} exists already: name a new folder (out, --out)')
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(folder.parent)
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_graphs(
    program: ExportedProgram,
    folder: Path,
    formats: Sequence[str],
    about: Mapping,
    segment: Segmenter,
    samples: Sequence[np.ndarray],
) -> dict[str, dict]:
    """Write a program in each format; what ``config.json`` tells of each file: ``about``, and what was found.
    ValueError if a file does not give what the network gives."""
    files = {}
    for name in formats:
        write, run = _GRAPHS[name]
        file = folder / f'model.{name}'
        told = {**about, **write(program, file)}
        files[file.name] = {**told, **(parity(file.name, run(file), segment, samples) if samples else {})}
    return files


def graph_size(config: dict) -> tuple[int, int]:
    """Height and width of the images that a graph takes by default; ValueError if the network takes any."""
    scales = [step['scale'] for step in config['resize'] if step.get('scale')]
    if config['window']:
        return tuple(config['window'])
    if not scales:
        raise ValueError('the network is tested with images at their own size: say for which size (size, --size HxW)')
    width, height = scales[-1]
    return height, width


def check_sizes(size: tuple[int, int], dynamic: bool) -> list[tuple[int, int]]:
    """The sizes at which files are compared with the network: for dynamic ones also a larger one, and a smaller one
    that is no multiple of any stride."""
    height, width = size
    return [size, (height + 32, width + 96), (height - height // 4 + 1, width - 3)] if dynamic else [size]


def sample_image(size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) uint8 of coloured areas and fine noise, always the same."""
    generator = torch.Generator().manual_seed(0)
    areas = F.interpolate(torch.rand(1, 3, 6, 8, generator=generator), size=size, mode='bicubic')[0]
    pixels = 230 * areas + 25 * torch.rand(3, *size, generator=generator)
    return pixels.clamp(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


@torch.no_grad()
def parity(
    file: str, run: Callable[[Tensor], Tensor], segment: Segmenter, samples: Sequence[np.ndarray]
) -> dict[str, float]:
    """How far the results of a file for samples (H, W, 3) are from those of the network: largest difference of logits
    and of probabilities (of logits only), and share of pixels with the same class; of the worst image. ValueError if
    the file cannot be run with an image, or its results are not those of the network."""
    advice = 'export it for one size (without --dynamic)' if len(samples) > 1 else 'export it as safetensors'
    found: list[dict[str, float]] = []
    for pixels in samples:
        images, size = torch.from_numpy(pixels).permute(2, 0, 1)[None].float(), '{}x{}'.format(*pixels.shape[:2])
        expected = torch.from_numpy(segment.logits(pixels))
        try:
            result = run(images)[0]
        except Exception as error:  # of ONNX Runtime or of torch
            reason = str(error).strip().splitlines()[0][:300]
            raise ValueError(f'{file} fails for images of {size} pixels, {advice}: {reason}') from error
        told = compare(result, expected)
        if not (told.get('logit_difference', 0.0) <= TOLERANCE and told['equal_labels'] >= 0.999):
            difference = f'logits differ by up to {told.get("logit_difference", 0.0):.3g} (at most {TOLERANCE:g}), '
            raise ValueError(
                f'{file} does not give what the network gives for images of {size} pixels: '
                f'{difference if result.dim() == 3 else ""}labels are equal in {100 * told["equal_labels"]:.2f} % of '
                f'the pixels. It may keep something of the size that it was made for; {advice}'
            )
        found.append(told)
    worst = {key: max(told[key] for told in found) for key in (found[0] if found else ())}
    return worst | ({'equal_labels': min(told['equal_labels'] for told in found)} if found else {})


def compare(result: Tensor, expected: Tensor) -> dict[str, float]:
    """Closeness of logits (C, H, W) or class ids (H, W) to logits (C, H, W); of another size they share no label."""
    if result.shape[-2:] != expected.shape[-2:]:
        return {'equal_labels': 0.0}
    if result.dim() == 2:
        return {'equal_labels': (result == expected.argmax(dim=0)).float().mean().item()}
    return {
        'equal_labels': (result.argmax(dim=0) == expected.argmax(dim=0)).float().mean().item(),
        'logit_difference': (result - expected).abs().max().item(),
        'probability_difference': (result.softmax(dim=0) - expected.softmax(dim=0)).abs().max().item(),
    }
