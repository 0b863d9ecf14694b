"""Find the images and labels of a folder, however they are laid out, and the images of a target."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from udass.io.images import IMAGE_SUFFIXES, read_image
from udass.io.video import VIDEO_SUFFIXES, count_video_frames, frame_path
from udass.io.zip_files import files_below

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'rgb', 'jpegimages', 'leftimg8bit')
LABEL_FOLDERS = ('labels', 'label', 'annotations', 'masks', 'mask', 'gt', 'segmentationclass', 'gtfine')
# Formats without loss: a JPEG changes ids and colours.
LABEL_SUFFIXES = ('.png', '.bmp', '.gif', '.tif', '.tiff')
# Frames of a video to train on; neighbours look alike.
_FRAMES = 300
# What follows the name that an image and its label share: '_leftImg8bit.png', '-mask.png'.
_TAG = re.compile(r'[_-][A-Za-z]\w*\.\w+$')
_LABEL_TAG = re.compile(r'label|mask|gt|seg|annot|[_-]L\.', re.IGNORECASE)
_LAYOUTS = (
    f'a folder of images ({", ".join(IMAGE_FOLDERS[:4])}, ...) beside a folder of labels '
    f'({", ".join(LABEL_FOLDERS[:4])}, ...) with the same names, or both in one folder '
    '(name.jpg and name.png, or name.png and name_label.png)'
)


@dataclass(frozen=True)
class LabelledFolder:
    """Images with a label each: ``<root>/<image_folder>/<name><image_suffix>``, and the same for labels."""

    root: str
    image_folder: str
    label_folder: str
    image_suffix: str
    label_suffix: str
    names: tuple[str, ...]

    def paths(self) -> list[tuple[str, str]]:
        """Image and label of each sample."""
        images, labels = (os.path.join(self.root, folder) for folder in (self.image_folder, self.label_folder))
        return [
            (os.path.join(images, name + self.image_suffix), os.path.join(labels, name + self.label_suffix))
            for name in self.names
        ]


@dataclass(frozen=True)
class Target:
    """Unlabelled images.

    Attributes:
        path: a folder, or a video file.
        every: of a video, every how many frames one is trained on; None for a folder.
        paths: images to train on, or frames as ``read_image`` takes them.
    """

    path: str
    every: int | None
    paths: tuple[str, ...]


def find_labelled(folder: str | Path) -> LabelledFolder:
    """The images and labels of a folder, with those of the folders below; FileNotFoundError if there is no such folder
    or nothing in it that can be paired, ValueError if images have no label or several."""
    root = Path(os.path.abspath(os.path.expanduser(folder)))
    if not root.is_dir():
        raise FileNotFoundError(f'{folder} is not a folder; give one with images and labels: {_LAYOUTS}')
    image_folder, label_folder = (_subfolder(root, known) for known in (IMAGE_FOLDERS, LABEL_FOLDERS))
    if (image_folder is None) != (label_folder is None):
        kind, known = ('labels', LABEL_FOLDERS) if label_folder is None else ('images', IMAGE_FOLDERS)
        raise FileNotFoundError(
            f'{folder} has {image_folder or label_folder}/, but no folder of {kind} (one of {", ".join(known)}): '
            'rename yours, or add it'
        )
    image_folder, label_folder = image_folder or '', label_folder or ''
    images = _files(root / image_folder, IMAGE_SUFFIXES, 'images')
    labels = _files(root / label_folder, LABEL_SUFFIXES, 'labels (a JPEG file changes ids and cannot be one)')
    image_suffix, label_suffix, pairs = _pair(str(folder), images, labels, same_folder=image_folder == label_folder)
    if image_folder != label_folder:
        alone = [image for image in images if image not in pairs]
    else:
        used = set(pairs.values())
        alone = [name for name in images if name not in pairs and name not in used and name.endswith(image_suffix)]
    if alone:
        raise ValueError(
            f'{root / image_folder / alone[0]} has no label ({len(alone)} of {len(images)} images): expected a label '
            f'of the same name that ends in {label_suffix}, and all images ending in {image_suffix}. Add the labels, '
            'or remove or convert these images'
        )
    names = tuple(sorted(image[: -len(image_suffix)] for image in pairs))
    return LabelledFolder(str(root), image_folder, label_folder, image_suffix, label_suffix, names)


def _subfolder(root: Path, known: tuple[str, ...]) -> str | None:
    found = {entry.name.lower(): entry.name for entry in root.iterdir() if entry.is_dir()}
    return next((found[name] for name in known if name in found), None)


def _files(folder: Path, suffixes: tuple[str, ...], what: str) -> list[str]:
    files = files_below(str(folder)) or []
    found = [file for file in files if file.lower().endswith(suffixes)]
    if not found:
        content = ', '.join(f'{count} {kind}' for kind, count in Counter(Path(file).suffix for file in files).items())
        raise FileNotFoundError(
            f'{folder} holds no {what}: found {content or "no files"}, expected {", ".join(suffixes)}. A folder of '
            f'images and labels is {_LAYOUTS}'
        )
    return found


def _pair(folder: str, images: list[str], labels: list[str], same_folder: bool) -> tuple[str, str, Mapping[str, str]]:
    """The ends of the names of images and labels that pair most of them, and image -> label."""
    found = []
    for image_suffix in _suffixes(images):
        # Side by side, 'a_label.png' is the label of 'a.png', and not the other way round.
        if same_folder and _LABEL_TAG.search(image_suffix):
            continue
        for label_suffix in _suffixes(labels):
            by_name = {name[: -len(label_suffix)]: name for name in labels if name.endswith(label_suffix)}
            shared = {name: by_name.get(name[: -len(image_suffix)]) for name in images if name.endswith(image_suffix)}
            pairs = {image: label for image, label in shared.items() if label is not None}
            if pairs and not (same_folder and any(image == label for image, label in pairs.items())):
                found.append((image_suffix, label_suffix, pairs))
    if not found:
        raise FileNotFoundError(
            f'{folder}: no image and label have the same name: images are named like {images[0]}, labels like '
            f'{labels[0]}. Expected {_LAYOUTS}'
        )
    most = max(len(pairs) for *_, pairs in found)
    best = [choice for choice in found if len(choice[2]) == most]
    if any(pairs != best[0][2] for *_, pairs in best):
        kinds = ', '.join(dict.fromkeys(label_suffix for _, label_suffix, _ in best))
        raise ValueError(
            f'{folder} has several labels for each image, which end in {kinds}: keep those with the class ids, and '
            'move the others away'
        )
    return best[0]


def _suffixes(files: Iterable[str]) -> list[str]:
    """Frequent ends of names, the plain ones (.png) first."""
    plain, tagged = Counter(Path(file).suffix for file in files), Counter()
    for file in files:
        match = _TAG.search(Path(file).name)
        tagged.update([match[0]] if match else [])
    return [suffix for suffix, _ in plain.most_common(4)] + [suffix for suffix, _ in tagged.most_common(4)]


def find_target(path: str | Path) -> Target:
    """The images of a target: a folder, its ``images`` where it has labels too, or frames of a video; FileNotFoundError
    if there is no such file, folder or image, ValueError if the file is no video that can be read."""
    full = Path(os.path.abspath(os.path.expanduser(path)))
    if full.is_file():
        if full.suffix.lower() not in VIDEO_SUFFIXES:
            raise ValueError(f'{path} is not a video ({", ".join(VIDEO_SUFFIXES)}): give one, or a folder of images')
        count = count_video_frames(str(full))
        if count < 2:
            raise ValueError(f'{path} has {count} frames that can be decoded, and needs 2: copy or convert it again')
        every = max(1, count // _FRAMES)
        # The first frame has none before it, and is left out as in clips.
        frames = [frame_path(str(full), number) for number in range(every, count, every)]
        return Target(str(full), every, tuple(frames))
    if not full.is_dir():
        raise FileNotFoundError(f'{path} does not exist: give a folder of images, or a video file as target')
    if _subfolder(full, LABEL_FOLDERS) is not None:
        # Labels are images as well, and none to adapt to.
        below = _subfolder(full, IMAGE_FOLDERS)
        if below is None:
            raise ValueError(f'{path} has a folder of labels, but none of images: give the folder of images as target')
        full = full / below
    files = files_below(str(full)) or []
    videos = [file for file in files if file.lower().endswith(VIDEO_SUFFIXES)]
    images = sorted(file for file in files if file.lower().endswith(IMAGE_SUFFIXES))
    if not images:
        found = f'the video {videos[0]}: give that file itself' if videos else f'{len(files)} files: give one of images'
        raise FileNotFoundError(f'{full} holds no image ({", ".join(IMAGE_SUFFIXES)}); it holds {found}')
    return Target(str(full), None, tuple(str(full / file) for file in images))


def check_apart(source: LabelledFolder, target: Target) -> None:
    """Raises ValueError if images of the source would be images of the target, too."""
    used = {Path(source.root, folder) for folder in (source.image_folder, source.label_folder)}
    path = Path(target.path)
    if any(path == folder or path in folder.parents or folder in path.parents for folder in used):
        raise ValueError(
            f'the target {path} and the source {source.root} share images: give two folders, neither of which holds '
            'the other'
        )


def image_size(path: str) -> tuple[int, int]:
    """(width, height) of an image file or of a frame of a video; ValueError if it is no image."""
    if '#' in path and not os.path.isfile(path):
        height, width = read_image(path).shape[:2]
        return width, height
    try:
        with Image.open(path) as file:
            return file.size
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f'{path} cannot be read as an image ({error}): replace or remove it') from error
