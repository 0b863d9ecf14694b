"""Load images, clips, labels and optical flow.

The results of a pipeline for a clip of T frames: ``img`` (H, W, 3) is frame 0, the frame to segment, and
``other_frames`` the list of the T - 1 others; ``gt_seg_map`` (H, W) is the label of frame 0 and ``gt_seg_map_<i>`` that
of frame i, all in ``seg_fields``; ``flows`` maps a pair (i, j) to the flow from frame i to frame j. So transforms of
single images act on frame 0.

Flow: (H, W, 2) float32 in pixels (dx, dy); what is at (x, y) in frame i is at (x + dx, y + dy) in frame j.
"""

from collections.abc import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import MODELS, TRANSFORMS

from udass.io.images import read_image
from udass.io.labels import IGNORE_INDEX, map_labels, read_label_ids


def label_key(frame: int) -> str:
    """Key of the label of a frame of a clip in the results."""
    return 'gt_seg_map' if frame == 0 else f'gt_seg_map_{frame}'


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path``: adds ``img`` (H, W, 3) uint8 BGR (the data preprocessor makes it RGB), ``img_shape`` and
    ``ori_shape`` (H, W). ``bit_depth``, of 16-bit files, and errors as of ``read_image``."""

    def __init__(self, bit_depth: int | None = None) -> None:
        super().__init__()
        if bit_depth is not None and not 8 <= bit_depth <= 16:
            raise ValueError(f'LoadImage: bit_depth must be in 8..16, got {bit_depth}')
        self.bit_depth = bit_depth

    def transform(self, results: dict) -> dict:
        results['img'] = read_image(results['img_path'], bit_depth=self.bit_depth)
        results['img_shape'] = results['ori_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module()
class LoadClip(BaseTransform):
    """Read ``frame_paths``, each file once: adds what ``LoadImage`` does for frame 0, and ``other_frames``, the list of
    the others. Errors as of ``read_image``; also ValueError if the frames differ in size, or the data set has no clips.
    """

    def transform(self, results: dict) -> dict:
        paths = results.get('frame_paths')
        if paths is None:
            raise ValueError(
                f'{results.get("img_path")} comes from a data set of single images: use LoadImage, or a '
                'data set of clips (a ClipDataset)'
            )
        images = {path: read_image(path) for path in dict.fromkeys(paths)}
        height, width = images[paths[0]].shape[:2]
        for path, image in images.items():
            if image.shape[:2] != (height, width):
                raise ValueError(
                    f'{path} is {image.shape[1]}x{image.shape[0]} pixels, {paths[0]} of the same clip {width}x{height} '
                    '(width x height): all frames of a video have one size. Replace or remove the frame'
                )
        results['img'], *results['other_frames'] = (images[path] for path in paths)
        results['img_shape'] = results['ori_shape'] = (height, width)
        return results


@TRANSFORMS.register_module()
class LoadLabels(BaseTransform):
    """Read ``seg_map_path`` and map its ids with the data set's ``label_table``: adds ``gt_seg_map`` (H, W) uint8, H
    and W those of the image file. Needs ``LoadImage`` before it.

    Args:
        max_size_difference: pixels by which label and image file may differ in height and width (GTA has such pairs);
            the label is then stretched to the image with nearest neighbours.

    Raises:
        FileNotFoundError, ValueError: the file is unreadable, holds an id outside the table or has another size than
            its image, or the data set has no labels.
    """

    def __init__(self, max_size_difference: int = 0) -> None:
        super().__init__()
        self.max_size_difference = max_size_difference

    def transform(self, results: dict) -> dict:
        path = results.get('seg_map_path')
        if path is None:
            raise ValueError(
                f'{results["img_path"]} comes from a data set without labels (labelled=False): remove '
                'LoadLabels from its pipeline, or set labelled=True'
            )
        self._add(results, 0, self._read(path, results))
        return results

    def _add(self, results: dict, frame: int, labels: np.ndarray) -> None:
        results[label_key(frame)] = labels
        if label_key(frame) not in results.setdefault('seg_fields', []):
            results['seg_fields'].append(label_key(frame))

    def _read(self, path: str, results: dict) -> np.ndarray:
        """Read the train ids (H, W) of a label file."""
        if 'label_table' not in results:
            raise ValueError(
                f'{path} belongs to a data set without a label table: LoadLabels reads those of this '
                'project, LoadAnnotations the others of MMSegmentation'
            )
        ids = read_label_ids(path, results.get('label_channel'), results.get('label_filter'))
        labels = map_labels(ids, results['label_table'], path)
        height, width = results['ori_shape']
        if max(abs(labels.shape[0] - height), abs(labels.shape[1] - width)) > self.max_size_difference:
            raise ValueError(
                f'{path} is {labels.shape[1]}x{labels.shape[0]} pixels, its image {results["img_path"]} '
                f'{width}x{height} (width x height). Check that they belong together; if the data set is known for '
                'small differences, set max_size_difference of LoadLabels'
            )
        if labels.shape != (height, width):
            labels = cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST)
        return labels


@TRANSFORMS.register_module()
class LoadClipLabels(LoadLabels):
    """``LoadLabels`` for all frames of a clip that have a label (``label_paths``). Needs ``LoadClip`` before it.

    Adds ``gt_seg_map`` (H, W) uint8 for frame 0 and ``gt_seg_map_1`` ... for the others. A frame 0 without a label
    among labelled ones (see ``frame_before`` of ``CityscapesSeq``) is 255 everywhere.
    """

    def transform(self, results: dict) -> dict:
        paths = results.get('label_paths')
        if paths is None or paths[0] is not None:
            results = super().transform(results)
            paths = results['label_paths']
        else:
            self._add(results, 0, np.full(results['ori_shape'], IGNORE_INDEX, np.uint8))
        labels = {paths[0]: results['gt_seg_map']}
        for frame, path in enumerate(paths[1:], start=1):
            if path is not None:
                if path not in labels:
                    labels[path] = self._read(path, results)
                self._add(results, frame, labels[path])
        return results


@TRANSFORMS.register_module()
class LoadFlow(BaseTransform):
    """Read or compute the flow of the pairs of a clip that the data set names (``flow_pairs``): adds ``flows``, pair
    (i, j) -> (H, W, 2) float32 in pixels of the current size.

    Put it after ``LoadClip`` and the first ``ClipResize``, so that the flow is computed or stored at the size that is
    trained with, and before cuts, crops, random scales and flips, which transform it with the frames. A frame that
    stands for the one before it (see ``ClipDataset``) has no motion.

    Args:
        cache: config of an object that is called with the paths of two image files and the size (H, W), and returns the
            flow between the whole images at this size (``FlowCache``).
        estimator: config of an estimator that is called with two frames (H, W, 3) uint8 RGB (``DISFlow``); its flow is
            not stored. For video files, whose frames are no image files. Give one of both.

    Raises:
        ValueError: both or none is given, frames were cut or flipped before the flow of whole files is read, or the
            flow does not have their size.
    """

    def __init__(self, cache: dict | None = None, estimator: dict | None = None) -> None:
        super().__init__()
        if (cache is None) == (estimator is None):
            raise ValueError(
                'LoadFlow: give either cache (flow of files) or estimator (flow of the frames as they '
                f'are), got cache={cache} and estimator={estimator}'
            )
        self.cache: Callable | None = None if cache is None else MODELS.build(cache)
        self.estimator: Callable | None = None if estimator is None else MODELS.build(estimator)

    def transform(self, results: dict) -> dict:
        if self.cache is not None and 'moved_by' in results:
            raise ValueError(
                f'LoadFlow reads the flow of whole files, but {results["moved_by"]} stands before it in '
                'the pipeline: put LoadFlow right after LoadClip (and a ClipResize)'
            )
        paths = results['frame_paths']
        known: dict[tuple[str, str], np.ndarray] = {}
        results['flows'] = {}
        for current, other in results['flow_pairs']:
            files = paths[current], paths[other]
            if files not in known:
                known[files] = self._flow(results, (current, other), files)
            results['flows'][current, other] = known[files]
        return results

    def _flow(self, results: dict, pair: tuple[int, int], files: tuple[str, str]) -> np.ndarray:
        """Flow (H, W, 2) of one pair."""
        shape = (*results['img'].shape[:2], 2)
        if files[0] == files[1]:
            return np.zeros(shape, np.float32)
        if self.cache is not None:
            flow = self.cache(*files, shape[:2])
        else:
            frames = [results['img'], *results['other_frames']]
            flow = self.estimator(*(np.ascontiguousarray(frames[index][..., ::-1]) for index in pair))
        if flow.shape != shape:
            raise ValueError(
                f'the flow from {files[0]} to {files[1]} has shape {flow.shape}, expected {shape} '
                f'from {type(self.cache or self.estimator).__name__}: remove stale flow files, or put '
                'LoadFlow where the frames have the size of the flow'
            )
        return np.asarray(flow, dtype=np.float32)
