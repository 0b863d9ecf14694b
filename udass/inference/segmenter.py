"""A trained network as a function from pictures to class ids or probabilities.

Shapes: N pictures, C classes, H, W pixels of a picture, h, w those that the network sees.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from mmseg.structures import SegDataSample
from PIL import Image, ImageOps
from torch import Tensor

from udass.flow import DISFlow
from udass.inference.loading import load_network
from udass.inference.scaling import Estimator, InputScaling
from udass.io.images import read_image
from udass.models.segmentors import FlowGuidedEncoderDecoder

Picture = str | Path | np.ndarray | Image.Image
# Modes of Pillow whose values are no colours of 8 bits.
_NOT_COLOURS = ('I', 'F', 'I;16', 'I;16L', 'I;16B', 'I;16N')


class Segmenter:
    """Segments pictures, and video frames with the help of the frame before.

    Every picture is brought to the size that the network was tested at (the resizes of the config's test pipeline), the
    scores are brought back to the size of the picture, and windows slide where ``test_cfg`` of the network says so: a
    picture of the test set gets the ids that ``tools/test.py`` scores.

    Args:
        config_or_checkpoint: a checkpoint of a training with this project, which carries its config; or a config.
        checkpoint: with a config, the weights: a checkpoint of a training, or a converted published one.
        branch: ``student`` or ``teacher``; None is the one that the config tests.
        device: e.g. ``cuda:0`` or ``cpu``; None is the GPU if there is one.
        native: leave pictures at their own size. Networks are sensitive to it, HRDA most of all: its windows and its
            two scales are made for the resolution that it was trained at.
        flow: estimator of optical flow, called with two frames (H, W, 3) uint8 RGB; None is DIS. Used by networks of
            two frames only.
        options: settings that replace those of the config, dotted key -> value.

    Attributes:
        classes: names by id.
        palette: RGB colours by id.
        uses_flow: whether the network looks at the frame before.
        branch: which network it is.
        scaling: what is done with the size of pictures.

    Raises:
        FileNotFoundError: a file does not exist.
        ValueError: the files do not fit each other, or there is no such branch or device.
    """

    def __init__(
        self,
        config_or_checkpoint: str | Path,
        checkpoint: str | Path | None = None,
        *,
        branch: str | None = None,
        device: str | torch.device | None = None,
        native: bool = False,
        flow: Estimator | None = None,
        options: Mapping | None = None,
    ) -> None:
        loaded = load_network(config_or_checkpoint, checkpoint, branch, device, options)
        self.network, self.classes, self.palette = loaded.network, loaded.classes, loaded.palette
        self.branch, self.origin = loaded.branch, loaded.origin
        if len(self.classes) > 256:
            raise ValueError(f'{self.origin} has {len(self.classes)} classes; class ids of 8 bits have room for 256')
        self.scaling = InputScaling(loaded.test_pipeline, native)
        self._bit_depth = next(
            (step.get('bit_depth') for step in loaded.test_pipeline if step['type'] == 'LoadImage'), None
        )
        self.uses_flow = isinstance(self.network, FlowGuidedEncoderDecoder)
        self.flow = flow or DISFlow()

    def __call__(self, picture: Picture, previous: Picture | None = None) -> np.ndarray:
        """Class ids (H, W) uint8 of a picture: indices into ``classes``.

        Args:
            picture: image file, a frame of a video file (``video.mp4#000012``), an image of Pillow, or an array of
                uint8: (H, W, 3) RGB, (H, W, 4) with alpha, which is dropped, or (H, W) grey. Files and images of Pillow
                with an orientation tag are turned upright.
            previous: the frame before, of the same size, for networks that use flow (others ignore it). None segments
                the picture by itself; the picture itself, for the first frame of a video, is a frame without motion.

        Raises:
            FileNotFoundError, ValueError: a file cannot be read, or an array is no picture or of another size.
        """
        return self.batch([picture], None if previous is None else [previous])[0]

    def probabilities(self, picture: Picture, previous: Picture | None = None) -> np.ndarray:
        """Probabilities (C, H, W) float32 of the classes; they sum to 1 in every pixel. Arguments as of `__call__`.

        They are the softmax of the network's logits at the size of the picture (of a network with one sigmoid: 1 - p
        and p); nothing makes sure that they are calibrated.
        """
        return self._segment([picture], None if previous is None else [previous], _probabilities)[0]

    def read(self, picture: str | Path) -> np.ndarray:
        """A file as an array (H, W, 3) uint8 RGB, as `__call__` reads it."""
        return np.ascontiguousarray(self._as_bgr(picture)[..., ::-1])

    def batch(self, pictures: Sequence[Picture], previous: Sequence[Picture] | None = None) -> list[np.ndarray]:
        """Class ids of several pictures at once; see `__call__`.

        Pictures may differ in size; those that have one size for the network go through it together.

        Args:
            previous: the frame before each picture; None segments all by themselves.
        """
        return self._segment(pictures, previous, _ids)

    def _segment(
        self,
        pictures: Sequence[Picture],
        previous: Sequence[Picture] | None,
        result_of: Callable[[SegDataSample], Tensor],
    ) -> list[np.ndarray]:
        """What ``result_of`` takes from the network's result for each picture, at the size of the picture."""
        if previous is not None and len(previous) != len(pictures):
            raise ValueError(f'{len(pictures)} pictures and {len(previous)} previous frames: give one per picture')
        clips = []
        for number, picture in enumerate(pictures):
            frames = [self._as_bgr(picture)]
            if previous is not None and self.uses_flow:
                frames.append(frames[0] if previous[number] is picture else self._as_bgr(previous[number]))
                _check_size(frames, picture, previous[number])
            clips.append(frames)
        found: list[np.ndarray | None] = [None] * len(clips)
        prepared = [self.scaling(frames, self.flow if len(frames) > 1 else None) for frames in clips]
        for places in _of_one_size(prepared):
            results = self._predict(
                [prepared[place] for place in places], [clips[place][0].shape[:2] for place in places]
            )
            for place, result in zip(places, results, strict=True):
                found[place] = result_of(result).cpu().numpy()
        return found

    @torch.no_grad()
    def _predict(
        self, clips: list[tuple[list[np.ndarray], np.ndarray | None]], sizes: list[tuple[int, int]]
    ) -> list[SegDataSample]:
        """Results of the network for clips of one size (h, w), at the sizes of the pictures."""
        device = next(self.network.parameters()).device
        inputs, samples = [], []
        for (frames, _), size in zip(clips, sizes, strict=True):
            stacked = torch.from_numpy(np.stack(frames).transpose(0, 3, 1, 2))
            inputs.append(stacked if len(frames) > 1 else stacked[0])
            shape = torch.Size(frames[0].shape[:2])
            samples.append(SegDataSample(metainfo=dict(ori_shape=size, img_shape=shape, pad_shape=shape)))
        data = self.network.data_preprocessor(dict(inputs=inputs, data_samples=samples), False)
        options = {}
        if clips[0][1] is not None:
            flow = np.stack([flow.transpose(2, 0, 1) for _, flow in clips])
            options['flow'] = torch.from_numpy(flow[:, None]).to(device)
        return self.network(data['inputs'], data['data_samples'], mode='predict', **options)

    def _as_bgr(self, picture: Picture) -> np.ndarray:
        """A picture (H, W, 3) uint8 BGR.

        Raises:
            FileNotFoundError, ValueError: the file cannot be read, or the array or the image of Pillow is no picture.
        """
        if isinstance(picture, str | Path):
            return read_image(str(picture), upright=True, bit_depth=self._bit_depth)
        if isinstance(picture, Image.Image):
            if picture.mode in _NOT_COLOURS:
                raise ValueError(
                    f'an image of Pillow of mode {picture.mode} has no colours of 8 bits: scale its '
                    'values to 0..255 and convert it to RGB'
                )
            picture = np.asarray(ImageOps.exif_transpose(picture).convert('RGB'))
        if isinstance(picture, np.ndarray) and picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        if (
            not isinstance(picture, np.ndarray)
            or picture.dtype != np.uint8
            or picture.ndim != 3
            or picture.shape[2] not in (3, 4)
            or picture.size == 0
        ):
            found = f'{picture.dtype} {picture.shape}' if isinstance(picture, np.ndarray) else type(picture).__name__
            raise ValueError(
                'a picture is a file name, an image of Pillow or an array (H, W, 3) uint8 RGB with values '
                f'in 0..255, got {found}'
            )
        return np.ascontiguousarray(picture[..., 2::-1])


def _ids(result: SegDataSample) -> Tensor:
    """Class ids (H, W) uint8."""
    return result.pred_sem_seg.data[0].to(torch.uint8)


def _probabilities(result: SegDataSample) -> Tensor:
    """Probabilities (C, H, W) float32."""
    logits = result.seg_logits.data.float()
    # Of a single channel mmseg keeps the sigmoid.
    return logits.softmax(dim=0) if len(logits) > 1 else torch.cat([1 - logits, logits])


def _check_size(frames: list[np.ndarray], picture: Picture, previous: Picture) -> None:
    (height, width), (other_height, other_width) = (frame.shape[:2] for frame in frames)
    if (height, width) != (other_height, other_width):
        names = [str(one) if isinstance(one, str | Path) else 'an array' for one in (picture, previous)]
        raise ValueError(
            f'{names[0]} is {width}x{height} pixels, the frame before it, {names[1]}, {other_width}x'
            f'{other_height} (width x height): all frames of a video have one size'
        )


def _of_one_size(clips: list[tuple[list[np.ndarray], np.ndarray | None]]) -> list[list[int]]:
    """Places in the list, grouped by number of frames and size."""
    groups: dict[tuple, list[int]] = {}
    for place, (frames, _) in enumerate(clips):
        groups.setdefault((len(frames), *frames[0].shape), []).append(place)
    return list(groups.values())
