"""Any folder of pictures as an unlabelled target domain."""

from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets.base import UDADataset
from udass.io.images import IMAGE_SUFFIXES


@DATASETS.register_module()
class ImageFolder(UDADataset):
    """All images below ``<data_root>/<folder>`` of any kind (``IMAGE_SUFFIXES``, in either case), without labels.

    Args:
        data_root, folder: where the pictures are; '' = in ``data_root`` itself.
        classes_from: name of the source data set's type, whose classes and palette are taken, e.g. 'GTA'.
        metainfo: ``classes`` and ``palette``, where the source is a ``UDADataset`` that got them from the config;
            further keys (e.g. ``pseudo_margins``) with either.
        indices, pipeline, test_mode, lazy_init: see ``UDADataset``.

    Raises:
        ValueError: the classes are given twice, not at all, or by a data set that has none.
    """

    DOWNLOAD_HINT = 'Set data_root and folder in the config to a folder of pictures.'

    def __init__(
        self,
        *,
        data_root: str,
        folder: str = '',
        classes_from: str | None = None,
        metainfo: dict | None = None,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        super().__init__(
            data_root=data_root,
            image_folder=folder,
            label_folder=folder,
            image_suffix='',
            label_suffix='',
            labelled=False,
            indices=indices,
            pipeline=pipeline,
            metainfo=classes_from_source('ImageFolder', classes_from, metainfo),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def image_names(self) -> list[str]:
        """Sorted paths of the pictures below the folder, suffixes included.

        Raises:
            FileNotFoundError: the folder is missing or holds no picture.
        """
        names = self._names(self.image_folder, '', 'pictures')
        pictures = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
        if not pictures:
            raise FileNotFoundError(
                f'ImageFolder: none of the {len(names)} files in {self.image_folder} (for '
                f'example {names[0]}) is a picture ({", ".join(IMAGE_SUFFIXES)}). {self.DOWNLOAD_HINT}'
            )
        return pictures


def classes_from_source(owner: str, classes_from: str | None, metainfo: dict | None) -> dict:
    """Metainfo of a data set that has no classes of its own.

    Args:
        owner: name of the data set, for messages.
        classes_from: name of the source data set's type, whose classes and palette are taken, or None.
        metainfo: with ``classes`` if and only if ``classes_from`` is None.

    Raises:
        ValueError: the classes are given twice, not at all, or by a data set that has none.
    """
    given = dict(metainfo or {})
    if (classes_from is None) != ('classes' in given):
        raise ValueError(
            f"{owner}: give either classes_from='<type of the source data set>' or "
            f'metainfo=dict(classes=..., palette=...), got classes_from={classes_from!r} and '
            f'metainfo with {sorted(given) or "nothing"}'
        )
    if classes_from is None:
        return given
    source = getattr(DATASETS.get(classes_from), 'METAINFO', {})
    if 'classes' not in source:
        raise ValueError(
            f'{owner}: classes_from={classes_from!r} is no data set with classes of its own; for a data '
            'set that gets its classes from the config repeat them in metainfo'
        )
    return {'classes': source['classes'], 'palette': source['palette'], **given}
