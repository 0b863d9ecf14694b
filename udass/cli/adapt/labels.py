"""Which classes the labels of a folder have: looks at every label file, and maps what is in it to class ids."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from udass.cli.adapt.folders import LabelledFolder, image_size
from udass.datasets.sampling.counting import map_in_threads
from udass.io.images import read_image
from udass.io.labels import IGNORE_INDEX, map_labels, read_label_ids
from udass.io.writing import write_image

IGNORED = 'ignore'
_LISTED = 20


@dataclass(frozen=True)
class Classes:
    """Classes, and what stands for them in label files.

    Attributes:
        names, palette: by class id; colours are RGB.
        table: id in a file, or packed colour (see ``pack``), -> class id or 255.
        coloured: whether the table is one of colours.
        origin: where they come from, for people.
    """

    names: tuple[str, ...]
    palette: list[list[int]]
    table: dict[int, int]
    coloured: bool
    origin: str


@dataclass
class Finding:
    """What one label file holds: pixels by id or packed colour, and the colours of a palette."""

    size: tuple[int, int]
    coloured: bool
    counts: dict[int, int] = field(default_factory=dict)
    palette: list[list[int]] | None = None


def pack(pixels: np.ndarray) -> np.ndarray:
    """Colours (H, W, 3) in BGR as one number per pixel, (H, W) int64: 65536 r + 256 g + b."""
    return pixels.astype(np.int64) @ np.array([1, 256, 65536])


def unpack(colour: int) -> list[int]:
    """RGB of a packed colour."""
    return [colour >> 16, colour >> 8 & 255, colour & 255]


def read_class_file(path: Path) -> list[tuple[str, list[int] | None]]:
    """The lines of a file of classes: a name, or a name and its colour (``road 128 64 128``); FileNotFoundError if
    there is no such file, ValueError if it holds no class, or half a colour."""
    if not path.is_file():
        raise FileNotFoundError(f'{path} does not exist; expected a file with a line per class: road 128 64 128')
    rows: list[tuple[str, list[int] | None]] = []
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), start=1):
        words = line.replace(',', ' ').split()
        numbers = [word for word in words[1:] if word.isdecimal()]
        if not words:
            continue
        if len(numbers) < 3:
            rows.append((' '.join(words), None))
        elif len(words) < 4 or words[-3:] != numbers[-3:] or any(int(value) > 255 for value in words[-3:]):
            raise ValueError(f'{path}, line {number}: expected a name and r g b of 0 to 255, got {line.strip()!r}')
        else:
            rows.append((' '.join(words[:-3]), [int(value) for value in words[-3:]]))
    if not [name for name, _ in rows if name != IGNORED]:
        raise ValueError(f'{path} names no class: expected a name per line, optionally with its colour, r g b')
    return rows


def examine(pair: tuple[str, str], by_colour: bool) -> Finding:
    """Look at one label and at the size of its image; ValueError if they differ in size, or if the label has too many
    colours to be one."""
    image, label = pair
    size, label_size = image_size(image), image_size(label)
    if size != label_size:
        raise ValueError(
            f'{label} is {label_size[0]}x{label_size[1]} pixels, its image {image} {size[0]}x{size[1]} (width x '
            'height): a label has the size of its image. Check that they belong together, and resize the label with '
            'nearest neighbours'
        )
    with Image.open(label) as file:
        mode, colours = file.mode, file.getpalette()
    coloured = by_colour or mode not in ('1', 'L', 'P', 'I') and not mode.startswith('I;')
    values, counts = np.unique(pack(read_image(label)) if coloured else read_label_ids(label), return_counts=True)
    if len(values) > 256:
        raise ValueError(
            f'{label} holds {len(values)} different {"colours" if coloured else "ids"}, too many for classes: expected '
            'class ids or one colour per class, without smooth edges. Labels of instances, and files that were a JPEG '
            'once, cannot be used'
        )
    palette = None if mode != 'P' or colours is None else np.array(colours[:768]).reshape(-1, 3).tolist()
    return Finding(size, coloured, dict(zip(values.tolist(), counts.tolist(), strict=True)), palette)


def examine_all(folder: LabelledFolder, by_colour: bool) -> list[Finding]:
    """Look at every label of a folder; errors as of `examine`."""
    title = f'Looking at {os.path.join(folder.root, folder.label_folder)}'
    return map_in_threads(partial(examine, by_colour=by_colour), folder.paths(), title)


def classes_are_colours(folder: LabelledFolder, findings: Sequence[Finding]) -> bool:
    """Whether all labels are colours; ValueError if only some are."""
    coloured = [finding.coloured for finding in findings]
    if len(set(coloured)) > 1:
        paths = folder.paths()
        raise ValueError(
            f'{paths[coloured.index(True)][1]} holds colours, {paths[coloured.index(False)][1]} ids: the labels of a '
            'folder are of one kind. Convert some of them, or give a table of colours for all: --colors FILE'
        )
    return coloured[0]


def find_classes(folder: LabelledFolder, findings: Sequence[Finding], file: Path | None, by_colour: bool) -> Classes:
    """The classes of the labels: those of ``file`` or, without one, those that occur; ValueError, with what to write
    where, if what occurs does not say which classes there are.

    Args:
        findings: of every label.
        file: names, and colours, of the classes.
        by_colour: whether the file says which colour is which class; otherwise its lines are the ids 0, 1, 2, ...
    """
    found = Counter()
    for finding in findings:
        found.update(finding.counts)
    wanted = Path(folder.root) / 'classes.txt'
    if file is not None:
        return _named_classes(file, by_colour)
    if classes_are_colours(folder, findings):
        lines = [f'class_{number} {" ".join(map(str, unpack(colour)))}' for number, colour in enumerate(sorted(found))]
        raise ValueError(
            f'the labels in {folder.root} are colours, for example {folder.paths()[0][1]}: write a file with a line '
            f'per class, name r g b ({IGNORED} r g b for pixels without a class), and give it as --colors FILE. The '
            'colours are:\n' + '\n'.join(lines[:_LISTED] + ['...'] * (len(lines) > _LISTED))
        )
    ids = sorted(set(found) - {IGNORE_INDEX})
    if ids != list(range(len(ids))) or len(ids) < 2:
        raise ValueError(
            f'the labels in {folder.root} hold the ids {", ".join(map(str, sorted(found)[:_LISTED]))}, from which the '
            f'classes cannot be told: expected 0, 1, 2, ... (and 255 where there is no class). Write {wanted} with a '
            f'name per line, of which the first is id 0; an id without a class is named {IGNORED}. For masks of 0 and '
            '255 give a table of colours: --colors FILE with the lines "background 0 0 0" and "object 255 255 255"'
        )
    palettes = [finding.palette for finding in findings if finding.palette]
    palette, origin = colour_map(len(ids)), 'counted'
    if palettes and len(palettes[0]) >= len(ids) and len(set(map(tuple, palettes[0][: len(ids)]))) == len(ids):
        palette, origin = palettes[0][: len(ids)], 'counted, in the colours of the palette'
    origin += f'; names can be written to {wanted}'
    names = tuple(f'class_{number}' for number in ids)
    return Classes(names, palette, {IGNORE_INDEX: IGNORE_INDEX, **dict(zip(ids, ids, strict=True))}, False, origin)


def _named_classes(file: Path, by_colour: bool) -> Classes:
    rows = read_class_file(file)
    names = list(dict.fromkeys(name for name, _ in rows if name != IGNORED))
    if not by_colour:
        repeated = [name for name in names if sum(name == other for other, _ in rows) > 1]
        if repeated:
            raise ValueError(f'{file} names {repeated[0]} twice; each line is an id with a name of its own')
    elif any(colour is None for _, colour in rows):
        name = next(name for name, colour in rows if colour is None)
        raise ValueError(f'{file} has no colour for {name}: expected "{name} r g b" in every line')
    if len(names) < 2:
        raise ValueError(f'{file} names {len(names)} class: two or more are needed, one of them may be background')
    ids = [IGNORE_INDEX if name == IGNORED else names.index(name) for name, _ in rows]
    # The first colour of a class is the one that it is drawn in.
    colours = {name: colour for name, colour in reversed(rows) if colour is not None}
    palette = [colours.get(name, drawn) for name, drawn in zip(names, colour_map(len(names)), strict=True)]
    if by_colour:
        packed = [colour[0] << 16 | colour[1] << 8 | colour[2] for _, colour in rows]
        if len(set(packed)) < len(packed):
            raise ValueError(f'{file} gives two classes the same colour: every line needs a colour of its own')
        return Classes(tuple(names), palette, dict(zip(packed, ids, strict=True)), True, str(file))
    return Classes(tuple(names), palette, {IGNORE_INDEX: IGNORE_INDEX, **dict(enumerate(ids))}, False, str(file))


def colour_map(number: int) -> list[list[int]]:
    """Colours (RGB) that differ, those of PASCAL VOC without its black: bits of the number, in reverse, by channel."""
    return [
        [sum((index >> 3 * bit + channel & 1) << 7 - bit for bit in range(3)) for channel in range(3)]
        for index in range(1, number + 1)
    ]


def count_classes(folder: LabelledFolder, findings: Sequence[Finding], classes: Classes) -> np.ndarray:
    """Pixels (files, classes) of every class; ValueError if a label holds something that is no class."""
    pixels = np.zeros((len(findings), len(classes.names)), np.int64)
    for row, ((_, label), finding) in enumerate(zip(folder.paths(), findings, strict=True)):
        unknown = [value for value in finding.counts if value not in classes.table]
        if unknown:
            what = f'the colour {unpack(unknown[0])}' if classes.coloured else f'the id {unknown[0]}'
            raise ValueError(
                f'{label} holds {what} ({finding.counts[unknown[0]]} pixels), which is none of the '
                f'{len(classes.names)} classes ({classes.origin}). Correct the label, or add a line to that file; '
                f'{IGNORED} is the name for pixels without a class'
            )
        for value, count in finding.counts.items():
            if classes.table[value] != IGNORE_INDEX:
                pixels[row, classes.table[value]] += count
    if not pixels.any():
        raise ValueError(
            f'no pixel of the labels in {folder.root} has a class: all are ignored. Check that these are labels, '
            'and that the file of classes names their ids'
        )
    return pixels


def convert_colours(folder: LabelledFolder, classes: Classes, out: Path) -> LabelledFolder:
    """Write colour labels as class ids below ``out``; returns the folder with these labels."""

    def convert(item: tuple[str, tuple[str, str]]) -> None:
        name, (_, label) = item
        write_image(out / f'{name}.png', map_labels(pack(read_image(label)), classes.table, label))

    map_in_threads(convert, list(zip(folder.names, folder.paths(), strict=True)), f'Converting colours to ids: {out}')
    return replace(folder, label_folder=os.path.abspath(out), label_suffix='.png')
