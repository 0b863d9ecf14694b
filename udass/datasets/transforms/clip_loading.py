"""Reading clips: frames, their labels, and the flow between them.

A clip in the results of a pipeline, T frames: ``img`` (H, W, 3) is frame 0, the frame to segment, and ``other_frames``
the list of the T - 1 others; ``gt_seg_map`` (H, W) is the label of frame 0 and ``gt_seg_map_<i>`` that of frame i, all
in ``seg_fields``; ``flows`` maps a pair (i, j) to the flow from frame i to frame j. So what acts on single images still
finds frame 0 where it looks for it.

Flow: (H, W, 2) float32 in pixels (dx, dy); what is at (x, y) in frame i is at (x + dx, y + dy) in frame j.
"""

from collections.abc import Callable

import numpy as np
from mmcv.transforms import BaseTransform
from mmseg.registry import MODELS, TRANSFORMS

from udass.datasets.base import IGNORE_INDEX
from udass.datasets.transforms.loading import LoadLabels, read_image

Flows = dict[tuple[int, int], np.ndarray]


def label_key(frame: int) -> str:
    """Key under which the label of a frame of a clip is kept."""
    return 'gt_seg_map' if frame == 0 else f'gt_seg_map_{frame}'


@TRANSFORMS.register_module()
class LoadClip(BaseTransform):
    """Read ``frame_paths``, each file once.

    Adds ``img`` (H, W, 3) uint8 BGR, ``img_shape`` and ``ori_shape`` (H, W) as ``LoadImage`` does, for frame 0, and
    ``other_frames``, the list of the others.

    Raises:
        FileNotFoundError, ValueError: see ``read_image``; the frames differ in size, or the data set has no clips.
    """

    def transform(self, results: dict) -> dict:
        """Add the frames to the results."""
        paths = results.get('frame_paths')
        if paths is None:
            raise ValueError(
                f'{results.get("img_path")} comes from a data set of single images: use LoadImage, or a '
                'data set of clips (a ClipDataset)'
            )
        images = {path: read_image(path) for path in dict.fromkeys(paths)}
        size = images[paths[0]].shape[:2]
        for path, image in images.items():
            if image.shape[:2] != size:
                raise ValueError(
                    f'{path} is {image.shape[1]}x{image.shape[0]} pixels, {paths[0]} of the same clip '
                    f'{size[1]}x{size[0]} (width x height): all frames of a video have one size. Replace '
                    'or remove the frame'
                )
        results['img'], *results['other_frames'] = (images[path] for path in paths)
        results['img_shape'] = results['ori_shape'] = size
        return results


@TRANSFORMS.register_module()
class LoadClipLabels(LoadLabels):
    """``LoadLabels`` for all frames of a clip that have a label (``label_paths``). Needs ``LoadClip`` before it.

    Adds ``gt_seg_map`` (H, W) uint8 for frame 0 and ``gt_seg_map_1`` ... for the others. A frame 0 without a label
    among labelled ones (see ``frame_before`` of ``CityscapesSeq``) is 255 everywhere.

    Args:
        max_size_difference: see ``LoadLabels``.
    """

    def transform(self, results: dict) -> dict:
        """Add the labels to the results."""
        paths = results.get('label_paths')
        if paths is not None and paths[0] is None:
            results['gt_seg_map'] = np.full(results['ori_shape'], IGNORE_INDEX, np.uint8)
            results['seg_fields'].append('gt_seg_map')
        else:
            results = super().transform(results)
            paths = results['label_paths']
        known = {paths[0]: results['gt_seg_map']}
        for frame, path in enumerate(paths[1:], start=1):
            if path is None:
                continue
            if path not in known:
                known[path] = self.read(path, results)
            results[label_key(frame)] = known[path]
            results['seg_fields'].append(label_key(frame))
        return results


@TRANSFORMS.register_module()
class LoadFlow(BaseTransform):
    """Get the flow of the pairs of a clip that the data set names (``flow_pairs``), for frames of the current size.

    Put it after ``LoadClip`` and the first ``ClipResize``, so that the flow is computed or stored at the size that is
    trained with, and before cuts, crops, random scales and flips, which carry it along. A frame that stands for the one
    before it (see ``ClipDataset``) has no motion.

    Adds ``flows``, pair (i, j) -> (H, W, 2) float32 in pixels of the current size.

    Args:
        cache: config of an object that is called with the paths of two image files and the size (H, W), and returns the
            flow between the whole images at this size (``FlowCache``).
        estimator: config of an estimator that is called with two frames (H, W, 3) uint8 RGB (``DISFlow``); nothing is
            kept. For video files, whose frames are no image files. Give one of both.

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
        """Add the flow to the results."""
        if self.cache is not None and 'moved_by' in results:
            raise ValueError(
                f'LoadFlow reads the flow of whole files, but {results["moved_by"]} stands before it in '
                'the pipeline: put LoadFlow right after LoadClip (and a ClipResize)'
            )
        size, paths = results['img'].shape[:2], results['frame_paths']
        known: dict[tuple[str, str], np.ndarray] = {}
        flows: Flows = {}
        for pair in results['flow_pairs']:
            files = paths[pair[0]], paths[pair[1]]
            if files not in known:
                known[files] = self._flow(results, pair, files, size)
            flows[tuple(pair)] = known[files]
        results['flows'] = flows
        return results

    def _flow(self, results: dict, pair: tuple[int, int], files: tuple[str, str], size: tuple[int, int]) -> np.ndarray:
        """Flow (H, W, 2) of one pair."""
        if files[0] == files[1]:
            return np.zeros((*size, 2), np.float32)
        if self.cache is not None:
            flow = self.cache(*files, size)
        else:
            frames = [results['img'], *results['other_frames']]
            flow = self.estimator(*(np.ascontiguousarray(frames[index][..., ::-1]) for index in pair))
        if flow.shape != (*size, 2):
            raise ValueError(
                f'the flow from {files[0]} to {files[1]} has shape {flow.shape}, expected {(*size, 2)} '
                f'from {type(self.cache or self.estimator).__name__}: remove stale flow files, or put '
                'LoadFlow where the frames have the size of the flow'
            )
        return np.asarray(flow, dtype=np.float32)
