"""Pack images and clips as inputs of the model and data samples."""

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.structures import PixelData
from mmseg.registry import TRANSFORMS
from mmseg.structures import SegDataSample

from udass.datasets.transforms.loading import label_key
from udass.io.labels import IGNORE_INDEX

_IMAGE_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape')
_CHANGE_KEYS = ('scale_factor', 'flip', 'flip_direction')
META_KEYS = (*_IMAGE_KEYS, *_CHANGE_KEYS, 'rare_class', 'paste_class', 'condition')


class PinnableSample(SegDataSample):
    """A data sample whose pixel data the loader can pin: torch calls this method of objects that are no tensors."""

    def pin_memory(self) -> 'PinnableSample':
        """A copy with all tensors in pinned memory."""
        pinned = self.new()
        for name, value in self.items():
            data = value.data.pin_memory()
            pinned.set_data({name: PixelData(data=data) if isinstance(value, PixelData) else data})
        return pinned


@TRANSFORMS.register_module()
class PackUDAInputs(BaseTransform):
    """Pack an image: ``inputs`` (3, H, W) uint8 BGR and ``data_samples`` with ``gt_sem_seg`` (1, H, W) uint8 if labels
    were loaded, ``valid_pseudo_mask`` (1, H, W) bool if ``PseudoMargins`` made one. The metainfo of the sample holds
    those of ``META_KEYS`` that it has; ``rare_class`` and ``paste_class`` are the train ids that the rare-class and the
    long-tail sampling drew, ``condition`` is what protocols select images by. Labels stay as small as they are until
    ``PixelPreprocessor`` makes them int64 on the device.
    """

    def transform(self, results: dict) -> dict:
        # Also makes a copy of what flips and crops only look at differently.
        image = torch.from_numpy(np.ascontiguousarray(results['img'].transpose(2, 0, 1)))
        sample = PinnableSample(metainfo={key: results[key] for key in META_KEYS if key in results})
        if 'gt_seg_map' in results:
            sample.gt_sem_seg = PixelData(data=torch.from_numpy(np.ascontiguousarray(results['gt_seg_map'])[None]))
        if 'valid_pseudo_mask' in results:
            sample.set_data(dict(valid_pseudo_mask=PixelData(data=_trusted(results['valid_pseudo_mask']))))
        return dict(inputs=image, data_samples=sample)


@TRANSFORMS.register_module()
class PackClip(BaseTransform):
    """Pack a clip of T frames: ``inputs`` (T, 3, H, W) uint8 BGR, frame 0 = the frame to segment, and ``data_samples``
    with

    - ``gt_sem_seg`` (T, H, W) uint8 if labels were loaded, 255 in frames without a label;
    - ``flow`` (T - 1, 2, H, W) float32 if flow was loaded: pixels (dx, dy) from frame 0 to frame 1, to frame 2, ...;
    - ``past_flow`` (1, 2, H, W) float32 if the clip has a past pair: from frame 2 to frame 3;
    - ``valid_pseudo_mask`` (1, H, W) bool if ``PseudoMargins`` made one;
    - metainfo as of ``PackUDAInputs``, ``frame_paths``, and ``labelled_frames``, how many frames have a label.

    In testing, labels that are loaded after ``ClipResize`` keep the size of their files.
    """

    def transform(self, results: dict) -> dict:
        # Stacking also makes a copy of what flips and crops only look at differently.
        frames = np.stack([results['img'], *results['other_frames']]).transpose(0, 3, 1, 2)
        sample = PinnableSample(metainfo={key: results[key] for key in (*META_KEYS, 'frame_paths') if key in results})
        data = {}
        if 'gt_seg_map' in results:
            unlabelled = np.full_like(results['gt_seg_map'], IGNORE_INDEX)
            labels = np.stack([results.get(label_key(frame), unlabelled) for frame in range(len(frames))])
            data['gt_sem_seg'] = torch.from_numpy(labels)
            sample.set_metainfo(dict(labelled_frames=sum(label_key(frame) in results for frame in range(len(frames)))))
        if 'flows' in results:
            flows = {pair: flow.transpose(2, 0, 1) for pair, flow in results['flows'].items()}
            flow = np.stack([flows[0, frame] for frame in range(1, len(frames))])
            sample.flow = torch.from_numpy(np.ascontiguousarray(flow))
            if (2, 3) in flows:
                sample.past_flow = torch.from_numpy(np.ascontiguousarray(flows[2, 3][None]))
        if 'valid_pseudo_mask' in results:
            data['valid_pseudo_mask'] = _trusted(results['valid_pseudo_mask'])
        sample.set_data({name: PixelData(data=value) for name, value in data.items()})
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(frames)), data_samples=sample)


def _trusted(mask: np.ndarray) -> torch.Tensor:
    """(H, W) -> (1, H, W) bool. A flipped mask is a view with negative strides, which torch does not take."""
    return torch.from_numpy(np.ascontiguousarray(mask)[None]).bool()
