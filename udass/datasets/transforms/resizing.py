"""A resize for data sets of mixed sizes and proportions."""

from mmseg.registry import TRANSFORMS

from udass.datasets.transforms.clip_geometry import ClipResize


@TRANSFORMS.register_module()
class ResizeToCover(ClipResize):
    """Resize images, or clips with their flow, at their own aspect ratio to the smallest size that covers ``scale``.

    Any image is then large enough for a crop of up to ``scale``, and none is squashed: a portrait of 300x400 pixels is
    resized to 256x341 for ``scale=(256, 128)``. An image of the proportions of ``scale`` gets this size. Also for
    ``dict(type='RandomResize', resize_type='ResizeToCover', scale=..., ratio_range=...)``.

    Args:
        scale: (width, height) in pixels to cover at least, as of mmcv's ``Resize``.
        interpolation: for images, see mmcv; labels take the nearest pixel.
    """

    def __init__(self, scale: tuple[int, int], interpolation: str = 'bilinear') -> None:
        super().__init__(scale=scale, keep_ratio=False, interpolation=interpolation)

    def _resize_img(self, results: dict) -> None:
        height, width = results['img'].shape[:2]
        factor = max(results['scale'][0] / width, results['scale'][1] / height)
        results['scale'] = round(width * factor), round(height * factor)
        super()._resize_img(results)
