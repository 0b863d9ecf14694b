"""Networks as graphs for other programs: ONNX, and the format of torch.export (``.pt2``).

Shapes: N images, C classes, H, W pixels.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from udass.export.network import TrainedNetwork

# Packages that tell every step of a conversion.
_TALKATIVE = ('onnxscript', 'onnx_ir', 'torch.onnx')


class _Ids(nn.Module):
    """Class ids (N, H, W) uint8 instead of logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images).argmax(dim=1).to(torch.uint8)


def trace(network: TrainedNetwork, size: Sequence[int], *, dynamic: bool, ids: bool) -> ExportedProgram:
    """The program of the network for RGB images (1, 3, H, W) float32 with values in 0..255, in evaluation mode;
    ValueError if PyTorch cannot make one, for instance because the size decides what is computed.

    Args:
        network: on the CPU; its windows go through it in one batch from now on.
        size: H and W.
        dynamic: H and W may be others than those. Whether the results are right then is left to the caller to check:
            the program may have kept what it computed from ``size``.
        ids: the result is class ids (1, H, W) uint8, not logits (1, C, H, W) float32.
    """
    if network.network.test_cfg:
        # One graph for all windows instead of a copy for each batch of them.
        network.network.test_cfg['max_batch'] = None
    sides = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC} if dynamic else None
    images = torch.zeros(1, 3, *size)
    try:
        with torch.no_grad():
            graph = _Ids(network) if ids else network
            return torch.export.export(graph.eval(), (images,), dynamic_shapes=(sides,), strict=False)
    except Exception as error:  # of many kinds, from a compiler
        reason = str(error).strip().splitlines()[0][:300] if str(error).strip() else ''
        advice = 'export it for one size (without dynamic)' if dynamic else 'export it as safetensors'
        raise ValueError(
            f'{type(network.network).__name__} cannot be exported as a graph for images of '
            f'{"any size" if dynamic else f"{size[0]}x{size[1]}"}: {type(error).__name__}: {reason}; {advice}'
        ) from error


def write_pt2(program: ExportedProgram, path: Path) -> dict:
    """Write the program as a file that `torch.export.load` reads."""
    torch.export.save(program, path)
    return {'torch': torch.__version__}


def write_onnx(program: ExportedProgram, path: Path) -> dict:
    """Write the program as one file of ONNX; its input is ``images``, its output ``output``. ImportError if the
    packages of ``pip install udass[export]`` are missing, ValueError if ONNX lacks an operator of the network."""
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError('ONNX needs onnx, onnxscript and onnxruntime: pip install "udass[export]"') from error
    try:
        with _quiet():
            names = dict(input_names=['images'], output_names=['output'])
            result = torch.onnx.export(program, dynamo=True, verbose=False, **names)
    except torch.onnx.errors.OnnxExporterError as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f'the network cannot be written as ONNX: {reason}; export it as pt2') from error
    result.save(path, external_data=False)
    return {'opset': next(opset.version for opset in result.model_proto.opset_import if not opset.domain)}


def run_pt2(path: Path) -> Callable[[Tensor], Tensor]:
    """The program of a file as a function of images."""
    return torch.export.load(path).module()


def run_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """The graph of a file in ONNX Runtime, on the CPU, as a function of images."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Errors are raised; the log would tell them a second time.
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    return lambda images: torch.from_numpy(session.run(None, {'images': images.numpy()})[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """No messages below errors from what converts."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
