"""What a sample keeps on its way into the model."""
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip',
             'flip_direction', 'rare_class', 'paste_class', 'condition')


@TRANSFORMS.register_module()
class PackUDAInputs(PackSegInputs):
    """mmseg's packing: ``inputs`` (3, H, W) uint8 BGR and ``data_samples`` with ``gt_sem_seg`` (1, H, W) int64 if
    labels were loaded, ``valid_pseudo_mask`` (1, H, W) bool if ``PseudoMargins`` made one. The metainfo of the sample
    holds those of ``META_KEYS`` that it has; ``rare_class`` and ``paste_class`` are the train ids that the rare-class
    and the long-tail sampling drew, ``condition`` is what protocols select images by.
    """

    def __init__(self) -> None:
        super().__init__(meta_keys=META_KEYS)

    def transform(self, results: dict) -> dict:
        """Pack one sample."""
        packed = super().transform(results)
        mask = results.get('valid_pseudo_mask')
        if mask is not None:
            # A flipped mask is a view with negative strides, which torch does not take.
            trusted = torch.from_numpy(np.ascontiguousarray(mask)[None]).bool()
            packed['data_samples'].set_data(dict(valid_pseudo_mask=PixelData(data=trusted)))
        return packed
