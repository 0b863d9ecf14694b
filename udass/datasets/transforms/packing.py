"""What a sample keeps on its way into the model."""
from mmseg.datasets.transforms import PackSegInputs
from mmseg.registry import TRANSFORMS

META_KEYS = ('img_path', 'seg_map_path', 'ori_shape', 'img_shape', 'pad_shape', 'scale_factor', 'flip',
             'flip_direction', 'rare_class', 'paste_class')


@TRANSFORMS.register_module()
class PackUDAInputs(PackSegInputs):
    """mmseg's packing: ``inputs`` (3, H, W) uint8 BGR and ``data_samples`` with ``gt_sem_seg`` (1, H, W) int64 if
    labels were loaded. The metainfo of the sample holds those of ``META_KEYS`` that it has; ``rare_class`` and
    ``paste_class`` are the train ids that the rare-class and the long-tail sampling drew.
    """

    def __init__(self) -> None:
        super().__init__(meta_keys=META_KEYS)
