"""Any images, frames or video file as an unlabelled target domain."""

import os

from mmseg.registry import DATASETS

from udass.datasets.base.clips import ClipDataset
from udass.datasets.base.dataset import UDADataset
from udass.io.images import IMAGE_SUFFIXES
from udass.io.video import count_video_frames, frame_path


class _Unlabelled(UDADataset):
    """Files of any kind, with the classes of another data set or of the config."""

    IMAGE_SUFFIX = ''

    def __init__(
        self, *, folder: str = '', classes_from: str | None = None, metainfo: dict | None = None, **common: object
    ) -> None:
        metainfo = self._with_classes(classes_from, dict(metainfo or {}))
        super().__init__(image_folder=folder, label_folder=folder, labelled=False, metainfo=metainfo, **common)

    def _with_classes(self, classes_from: str | None, metainfo: dict) -> dict:
        """The metainfo with the classes of the source."""
        owner = type(self).__name__
        if (classes_from is None) != ('classes' in metainfo):
            raise ValueError(
                f"{owner}: give either classes_from='<type of the source data set>' or metainfo=dict(classes=..., "
                f'palette=...), got classes_from={classes_from!r} and metainfo with {sorted(metainfo) or "nothing"}'
            )
        if classes_from is None:
            return metainfo
        source = getattr(DATASETS.get(classes_from), 'METAINFO', {})
        if 'classes' not in source:
            raise ValueError(
                f'{owner}: classes_from={classes_from!r} is not a data set with classes of its own; if it gets '
                'its classes from the config, repeat them in metainfo'
            )
        return {'classes': source['classes'], 'palette': source['palette'], **metainfo}

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """Sorted paths of the images below the folder, suffixes included."""
        names = super()._names(folder, suffix, what)
        images = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
        if not images:
            raise FileNotFoundError(
                f'{type(self).__name__}: none of the {len(names)} files in {folder} (for example {names[0]}) is an '
                f'image ({", ".join(IMAGE_SUFFIXES)}). {self.DOWNLOAD_HINT}'
            )
        return images


@DATASETS.register_module()
class ImageFolder(_Unlabelled):
    """All images below ``<data_root>/<folder>``, whatever their kind (``IMAGE_SUFFIXES``, in either case).

    Args:
        folder: where the images are; '' = in ``data_root`` itself.
        classes_from: name of the source data set's type, whose classes and palette are taken, e.g. 'GTA'.
        metainfo: ``classes`` and ``palette``, where the source got them from the config; other keys (e.g.
            ``pseudo_margins``) with either.
        common: see ``UDADataset``.

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
        ValueError: the classes are given twice, not at all, or by a data set that has none.
    """

    DOWNLOAD_HINT = 'Set data_root and folder in the config to a folder of images.'


@DATASETS.register_module()
class FrameFolder(_Unlabelled, ClipDataset):
    """All numbered images below ``<data_root>/<folder>``, whatever their kind, as clips; arguments and errors as of
    ``ImageFolder`` and ``ClipDataset``.

    Frames follow each other in the order of the last number in their names, also if it goes 0, 5, 10. Each subfolder,
    and each beginning of a name, is a video of its own.
    """

    DOWNLOAD_HINT = 'Set data_root and folder in the config to a folder of numbered frames.'

    def __init__(self, **common: object) -> None:
        super().__init__(step=None, **common)


@DATASETS.register_module()
class VideoFile(_Unlabelled, ClipDataset):
    """The frames of a video file as clips. Frames are decoded when they are needed, nothing is written; ``LoadClip``
    and ``LoadImage`` read them. ``LoadFlow`` needs an ``estimator``, as there are no files that a cache could be about.

    Args:
        path: the video, of any kind that OpenCV decodes (``VIDEO_SUFFIXES`` of ``udass.io.video``).
        every: frames t are those whose number, counted from 0, is a multiple of this; t - 1 is always the frame before.
        common: see ``ImageFolder`` and ``ClipDataset``, also for errors.
    """

    DOWNLOAD_HINT = 'Set path in the config to a video file.'

    def __init__(self, *, path: str, every: int = 1, **common: object) -> None:
        if every < 1:
            raise ValueError(f'VideoFile: every must be 1 or larger, got {every}')
        self.every, self.video = every, os.path.expanduser(path)
        super().__init__(data_root=os.path.dirname(self.video), **common)

    def included(self, name: str) -> bool:
        """Whether the frame is one of those selected by ``every``."""
        return self.number(name) % self.every == 0

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """Names of the frames of the video."""
        return [frame_path(os.path.basename(self.video), number) for number in range(count_video_frames(self.video))]
