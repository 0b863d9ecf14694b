"""The generated street scenes as video, with the exact motion of every pixel."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets.clips import ClipDataset
from udass.datasets.streets_dataset import StreetsDataset

_IMAGES, _LABELS = '/images/', '/labels/'


@DATASETS.register_module()
class StreetsClips(ClipDataset):
    """Clips of streets: ``<data_root>/<domain>_clips/<split>/<clip>/{images,labels}/<frame>.png``, all frames labelled
    with Cityscapes train ids.

    The exact flow from a frame to the two before it is in ``<clip>/flow/<current>_<other>.png`` (KITTI 16-bit PNG);
    ``dict(type='PrecomputedFlow', naming='../flow/{current}_{other}.png')`` reads it for ``LoadFlow``. It serves
    ``past=None`` and ``past=1``.

    Args:
        data_root: folder of the data set.
        domain: 'game' (source) or 'camera' (target).
        split: 'train' or 'val'.
        past, labelled, indices, pipeline, metainfo, test_mode, lazy_init: see ``ClipDataset``.
    """

    METAINFO = StreetsDataset.METAINFO
    DOWNLOAD_HINT = (
        'Generate the clips with `python tools/make_streets.py --clips`, or set data_root in the config to '
        'the folder that holds them.'
    )

    def __init__(
        self,
        *,
        data_root: str,
        domain: str,
        split: str,
        past: int | None = None,
        labelled: bool = True,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        metainfo: dict | None = None,
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        self.domain, self.split = domain, split
        folder = f'{domain}_clips/{split}'
        super().__init__(
            data_root=data_root,
            image_folder=folder,
            label_folder=folder,
            image_suffix='.png',
            label_suffix='.png',
            past=past,
            labelled=labelled,
            indices=indices,
            pipeline=pipeline,
            metainfo=metainfo,
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def label_path(self, name: str) -> str:
        """Beside the folder of the images of its clip."""
        return super().label_path(name.replace(_IMAGES, _LABELS))

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """One folder holds all kinds of files; a label has the name of its image."""
        wanted = _IMAGES if what == 'images' else _LABELS
        names = [name.replace(wanted, _IMAGES) for name in super()._names(folder, suffix, what) if wanted in name]
        if not names:
            raise FileNotFoundError(f'StreetsClips: no <clip>{wanted}*{suffix} in {folder}. {self.DOWNLOAD_HINT}')
        return names
