"""Any video as an unlabelled target domain: a folder of numbered frames, or a video file."""

import os
from collections.abc import Callable, Sequence

from mmseg.registry import DATASETS

from udass.datasets.clips import ClipDataset
from udass.datasets.image_folder import classes_from_source
from udass.io.images import IMAGE_SUFFIXES
from udass.io.video import count_video_frames, frame_path


@DATASETS.register_module()
class FrameFolder(ClipDataset):
    """All numbered pictures below ``<data_root>/<folder>``, whatever their kind, as clips without labels.

    Frames follow each other in the order of the last number in their names, also if it goes 0, 5, 10. Each subfolder,
    and each beginning of a name, is a video of its own.

    Args:
        data_root, folder: where the frames are; '' = in ``data_root`` itself.
        classes_from, metainfo: where the classes come from, see ``ImageFolder``.
        past, indices, pipeline, test_mode, lazy_init: see ``ClipDataset``.

    Raises:
        FileNotFoundError: the folder is missing or holds no picture.
        ValueError: a picture has no number, or the classes are given twice or not at all.
    """

    DOWNLOAD_HINT = 'Set data_root and folder in the config to a folder of numbered frames.'

    def __init__(
        self,
        *,
        data_root: str,
        folder: str = '',
        classes_from: str | None = None,
        metainfo: dict | None = None,
        past: int | None = None,
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
            past=past,
            step=None,
            labelled=False,
            indices=indices,
            pipeline=pipeline,
            metainfo=classes_from_source('FrameFolder', classes_from, metainfo),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """Sorted paths of the pictures below the folder, suffixes included."""
        names = super()._names(folder, suffix, what)
        pictures = [name for name in names if name.lower().endswith(IMAGE_SUFFIXES)]
        if not pictures:
            raise FileNotFoundError(
                f'FrameFolder: none of the {len(names)} files in {folder} (for example {names[0]}) '
                f'is a picture ({", ".join(IMAGE_SUFFIXES)}). {self.DOWNLOAD_HINT}'
            )
        return pictures


@DATASETS.register_module()
class VideoFile(ClipDataset):
    """The frames of a video file as clips without labels. Frames are decoded when they are asked for, nothing is
    written; ``LoadClip`` and ``LoadImage`` read them. ``LoadFlow`` needs an ``estimator``, as there are no files that a
    cache could be about.

    Args:
        path: the video, of any kind that OpenCV decodes (``VIDEO_SUFFIXES`` of ``transforms.video``).
        every: frames t are those whose number, counted from 0, is a multiple of this; t - 1 is always the frame before.
        classes_from, metainfo: where the classes come from, see ``ImageFolder``.
        past, indices, pipeline, test_mode, lazy_init: see ``ClipDataset``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it cannot be decoded, or the classes are given twice or not at all.
    """

    DOWNLOAD_HINT = 'Set path in the config to a video file.'

    def __init__(
        self,
        *,
        path: str,
        every: int = 1,
        classes_from: str | None = None,
        metainfo: dict | None = None,
        past: int | None = None,
        indices: int | Sequence[int] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        test_mode: bool = False,
        lazy_init: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f'VideoFile: every is 1 or larger, got {every}')
        path = os.path.expanduser(path)
        self.every, self.video = every, path
        super().__init__(
            data_root=os.path.dirname(path),
            image_folder='',
            label_folder='',
            image_suffix='',
            label_suffix='',
            past=past,
            labelled=False,
            indices=indices,
            pipeline=pipeline,
            metainfo=classes_from_source('VideoFile', classes_from, metainfo),
            test_mode=test_mode,
            lazy_init=lazy_init,
        )

    def keep(self, name: str) -> bool:
        """Whether the frame is one of those asked for."""
        return self._parts(name)[1] % self.every == 0

    def _names(self, folder: str, suffix: str, what: str) -> list[str]:
        """Names of the frames of the video."""
        number = count_video_frames(self.video)
        return [frame_path(os.path.basename(self.video), index) for index in range(number)]
