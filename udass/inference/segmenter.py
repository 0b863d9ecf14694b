"""A trained network as a function from images to class ids or probabilities.

Shapes: N images, C classes, H, W pixels of an image, h, w those of the network's input.
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

ImageLike = str | Path | np.ndarray | Image.Image
# Modes of Pillow whose values are no colours of 8 bits.
_NOT_COLOURS = ('I', 'F', 'I;16', 'I;16L', 'I;16B', 'I;16N')


class Segmenter:
    """Segments images, and video frames with the help of the frame before.

    Every image is brought to the size that the network was tested at (the resizes of the config's test pipeline), the
    logits are brought back to the size of the image, and windows slide where ``test_cfg`` of the network says so: an
    image of the test set gets the ids that ``udass test`` evaluates.

    Args:
        config_or_checkpoint, checkpoint, branch, device, options: see `load_network`.
        native: leave images at their own size. Networks are sensitive to it, HRDA most of all: its windows and its two
            scales are made for the resolution that it was trained at.
        flow: estimator of optical flow, called with two frames (H, W, 3) uint8 RGB; None is DIS. Used by networks of
            two frames only.

    Attributes:
        classes: names by id.
        palette: RGB colours by id.
        uses_flow: whether the network takes the frame before, too.
        branch: ``student`` or ``teacher``.
        scaling: how images are resized.
        loaded: the network with its settings.
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
        self.loaded = loaded = load_network(config_or_checkpoint, checkpoint, branch, device, options)
        self.network, self.classes, self.palette = loaded.network, loaded.classes, loaded.palette
        self.branch, self.origin = loaded.branch, loaded.origin
        if len(self.classes) > 256:
            raise ValueError(f'{self.origin} has {len(self.classes)} classes; class ids of 8 bits have room for 256')
        self.scaling = InputScaling(loaded.test_pipeline, native)
        loading = [step for step in loaded.test_pipeline if step['type'] == 'LoadImage']
        self._bit_depth = loading[0].get('bit_depth') if loading else None
        self.uses_flow = isinstance(self.network, FlowGuidedEncoderDecoder)
        self.flow = flow or DISFlow()

    def __call__(self, image: ImageLike, previous: ImageLike | None = None) -> np.ndarray:
        """Class ids (H, W) uint8 of an image: indices into ``classes``.

        Args:
            image: image file, a frame of a video file (``video.mp4#000012``), an image of Pillow, or an array of uint8:
                (H, W, 3) RGB, (H, W, 4) with alpha, which is dropped, or (H, W) grey. Files and images of Pillow with
                an orientation tag are turned upright.
            previous: the frame before, of the same size, for networks that use flow (others ignore it). None segments
                the image by itself; the image itself, for the first frame of a video, is a frame without motion.

        Raises:
            FileNotFoundError, ValueError: a file cannot be read, or an array is no image or of another size.
        """
        return self.batch([image], None if previous is None else [previous])[0]

    def probabilities(self, image: ImageLike, previous: ImageLike | None = None) -> np.ndarray:
        """Probabilities (C, H, W) float32 of the classes; they sum to 1 in every pixel. Arguments as of `__call__`.

        They are the softmax of the network's logits at the size of the image (of a network with one sigmoid: 1 - p and
        p); nothing makes sure that they are calibrated.
        """
        return self._segment([image], None if previous is None else [previous], _probabilities)[0]

    def logits(self, image: ImageLike, previous: ImageLike | None = None) -> np.ndarray:
        """Logits (C, H, W) of the classes at the size of the image, before the softmax of `probabilities`."""
        return self._segment([image], None if previous is None else [previous], lambda result: result.seg_logits.data)[
            0
        ]

    def read(self, image: str | Path) -> np.ndarray:
        """A file as an array (H, W, 3) uint8 RGB, as `__call__` reads it."""
        return np.ascontiguousarray(self._as_bgr(image)[..., ::-1])

    def batch(self, images: Sequence[ImageLike], previous: Sequence[ImageLike] | None = None) -> list[np.ndarray]:
        """Class ids of several images at once, and with the frame before each if given; see `__call__`. Images may
        differ in size; those that have one size for the network go through it together."""
        return self._segment(images, previous, lambda result: result.pred_sem_seg.data[0].to(torch.uint8))

    def _segment(
        self,
        images: Sequence[ImageLike],
        previous: Sequence[ImageLike] | None,
        result_of: Callable[[SegDataSample], Tensor],
    ) -> list[np.ndarray]:
        """``result_of`` the network's result for each image, at the size of the image."""
        if previous is not None and len(previous) != len(images):
            raise ValueError(f'{len(images)} images and {len(previous)} previous frames: give one per image')
        prepared, sizes = [], []
        # Places in the list by number of frames and size.
        groups: dict[tuple, list[int]] = {}
        for place, image in enumerate(images):
            frames = [self._as_bgr(image)]
            if previous is not None and self.uses_flow:
                frames.append(frames[0] if previous[place] is image else self._as_bgr(previous[place]))
                _check_size(frames, image, previous[place])
            prepared.append(self.scaling(frames, self.flow if len(frames) > 1 else None))
            sizes.append(frames[0].shape[:2])
            groups.setdefault((len(frames), *prepared[-1][0][0].shape), []).append(place)
        found: list[np.ndarray | None] = [None] * len(images)
        for places in groups.values():
            results = self._predict([prepared[place] for place in places], [sizes[place] for place in places])
            for place, result in zip(places, results, strict=True):
                found[place] = result_of(result).cpu().numpy()
        return found

    @torch.no_grad()
    def _predict(
        self, clips: list[tuple[list[np.ndarray], np.ndarray | None]], sizes: list[tuple[int, int]]
    ) -> list[SegDataSample]:
        """Results of the network for clips of one size (h, w), at the sizes of the images."""
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
            flow = np.stack([flow.transpose(2, 0, 1)[None] for _, flow in clips])
            options['flow'] = torch.from_numpy(flow).to(device)
        return self.network(data['inputs'], data['data_samples'], mode='predict', **options)

    def _as_bgr(self, image: ImageLike) -> np.ndarray:
        """An image (H, W, 3) uint8 BGR; FileNotFoundError or ValueError if a file cannot be read, or an array is no
        image."""
        if isinstance(image, str | Path):
            return read_image(str(image), upright=True, bit_depth=self._bit_depth)
        if isinstance(image, Image.Image):
            if image.mode in _NOT_COLOURS:
                raise ValueError(
                    f'an image of Pillow of mode {image.mode} has no colours of 8 bits: scale its values to 0..255 and '
                    'convert it to RGB'
                )
            image = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
        array = np.asarray(image) if isinstance(image, np.ndarray) else np.empty(0)
        if array.ndim == 2:
            array = np.repeat(array[..., None], 3, axis=2)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (3, 4) or array.size == 0:
            found = f'{array.dtype} {array.shape}' if isinstance(image, np.ndarray) else type(image).__name__
            raise ValueError(
                'an image is a file name, an image of Pillow or an array (H, W, 3) uint8 RGB with values in 0..255, '
                f'got {found}'
            )
        return np.ascontiguousarray(array[..., 2::-1])


def _probabilities(result: SegDataSample) -> Tensor:
    """Probabilities (C, H, W) float32."""
    logits = result.seg_logits.data.float()
    # Of a single channel mmseg returns the sigmoid.
    return logits.softmax(dim=0) if len(logits) > 1 else torch.cat([1 - logits, logits])


def _check_size(frames: list[np.ndarray], image: ImageLike, previous: ImageLike) -> None:
    first, second = (f'{frame.shape[1]}x{frame.shape[0]}' for frame in frames)
    if first != second:
        names = [str(one) if isinstance(one, str | Path) else 'an array' for one in (image, previous)]
        raise ValueError(
            f'{names[0]} is {first} pixels, the frame before it, {names[1]}, {second} (width x height): all frames of '
            'a video have one size'
        )
