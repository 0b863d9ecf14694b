"""Damaged files of every kind: cut off, with a flipped bit, with a stretch of zeros.

Each is read right, or refused by an error that names it. In formats without checksums nothing tells a wrong bit, so
that other values may come out, in the form that is expected; a file that is cut off is found in each of them.
"""

import random
import signal
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image

from tests.datasets.conftest import SceneFolder
from udass.datasets import class_statistics
from udass.engine.checkpoint import damage_of
from udass.flow.files import read_flow, write_flow
from udass.io import zip_files as archives
from udass.io.checksums import add_checksum
from udass.io.images import read_image
from udass.io.labels import read_label_ids
from udass.models.checkpoints import read_checkpoint

PER_DAMAGE, SECONDS = 150, 20


def damages(content: bytes, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Variants of a file's content, each with what was done to it."""
    for _ in range(PER_DAMAGE):
        yield 'cut', content[: rng.randrange(len(content))]
        flipped = bytearray(content)
        flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield 'flipped', bytes(flipped)
        start, length = rng.randrange(len(content)), rng.choice((1, 8, 64, 512))
        yield 'zeroed', content[:start] + bytes(min(length, len(content) - start)) + content[start + length :]


def raise_timeout(signum, frame):
    raise TimeoutError('reading takes too long')


def check(
    path: Path,
    read: Callable,
    same: Callable,
    form: Callable | None = None,
    damaged: Path | None = None,
    names: tuple[str, ...] = (),
) -> int:
    """Damages a file in all ways; returns how many were refused.

    Args:
        read: reads ``path``.
        same: whether what came out is right.
        form: of a format without checksums: whether what came out has the right form.
        damaged: the file that is damaged, ``path`` by default; e.g. the zip file that it is in.
        names: what an error must name, one of them; the file by default.
    """
    damaged = damaged or path
    whole, refused = damaged.read_bytes(), 0
    previous = signal.signal(signal.SIGALRM, raise_timeout)
    try:
        for kind, content in damages(whole, random.Random(0)):
            damaged.write_bytes(content)
            signal.alarm(SECONDS)
            try:
                found = read(path)
            except (ValueError, FileNotFoundError) as error:
                assert any(name in str(error) for name in names or (damaged.name,)), f'{kind}: {error}'
                refused += 1
            else:
                right = same if form is None or kind == 'cut' else form
                assert right(found), f'{path} {kind} gives something else'
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, previous)
        damaged.write_bytes(whole)
    return refused


def picture(dtype=np.uint8, channels=3, largest=255):
    rng = np.random.default_rng(0)
    shape = (40, 60) if channels == 1 else (40, 60, channels)
    return cv2.resize(rng.integers(0, largest + 1, shape).astype(dtype), (120, 80), interpolation=cv2.INTER_NEAREST)


def is_picture(image):
    return image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3


@pytest.mark.parametrize(
    'suffix, has_checksums', [('.png', True), ('.jpg', False), ('.bmp', False), ('.tif', False), ('.webp', False)]
)
def test_images(suffix, has_checksums, tmp_path):
    path = tmp_path / f'a{suffix}'
    assert cv2.imwrite(str(path), picture())
    right = read_image(str(path))
    refused = check(
        path,
        lambda path: read_image(str(path)),
        lambda image: np.array_equal(image, right),
        form=None if has_checksums else is_picture,
    )
    assert refused > PER_DAMAGE // 2


@pytest.mark.parametrize('kind', ['8 bit', '16 bit', 'palette', 'one bit', 'interlaced'])
def test_labels(kind, tmp_path):
    path, ids = tmp_path / 'a.png', picture(channels=1, largest=18)
    if kind == 'palette':
        image = Image.fromarray(ids, 'P')
        image.putpalette(list(range(256)) * 3)
    else:
        image = Image.fromarray({'16 bit': ids.astype(np.uint16) * 300, 'one bit': ids > 9}.get(kind, ids))
    image.save(path, interlace=kind == 'interlaced')
    right = read_label_ids(str(path))
    refused = check(path, lambda path: read_label_ids(str(path)), lambda found: np.array_equal(found, right))
    # What may be changed is behind the end of the image.
    assert refused >= 3 * PER_DAMAGE - 15


@pytest.mark.parametrize('kind', ['images', 'labels'])
def test_members_of_zip_files(kind, tmp_path):
    content, archive = BytesIO(), tmp_path / 'all.zip'
    Image.fromarray(picture(channels=1, largest=18)).save(content, 'png')
    with zipfile.ZipFile(archive, 'w', zipfile.ZIP_DEFLATED) as file:
        for name in ('a', 'b'):
            file.writestr(f'{kind}/{name}.png', content.getvalue())
    read = read_image if kind == 'images' else read_label_ids
    path = tmp_path / kind / 'a.png'
    right = read(str(path))

    def read_anew(path):
        forget_archives()
        return read(str(path))

    check(path, read_anew, lambda found: np.array_equal(found, right), damaged=archive, names=('all.zip', 'a.png'))
    forget_archives()


def forget_archives():
    for function in vars(archives).values():
        if hasattr(function, 'cache_clear'):
            function.cache_clear()


@pytest.mark.parametrize('suffix, has_checksums', [('.png', True), ('.flo', False), ('.npy', False)])
def test_flow(suffix, has_checksums, tmp_path):
    path = tmp_path / f'a{suffix}'
    write_flow(path, (np.random.default_rng(0).integers(-300, 300, (20, 30, 2)) / 10).astype(np.float32))
    right = read_flow(path)

    def has_form(found):
        flow, valid = found
        return (
            flow.shape[2] == 2
            and flow.size == right[0].size
            and np.isfinite(flow).all()
            and valid.shape == flow.shape[:2]
        )

    refused = check(
        path, read_flow, lambda found: all(map(np.array_equal, found, right)), form=None if has_checksums else has_form
    )
    assert refused > PER_DAMAGE // 2


@pytest.mark.filterwarnings('ignore::UserWarning')
@pytest.mark.parametrize('checksum', [True, False])
def test_checkpoints(checksum, tmp_path):
    path = tmp_path / 'a.pth'
    generator = torch.Generator().manual_seed(0)
    weights = {f'{number}.weight': torch.randn(20, 20, generator=generator) for number in range(3)}
    torch.save({'state_dict': weights, 'meta': {'iter': 3}}, path)
    if checksum:
        add_checksum(path)

    def same(content):
        return (
            content['meta'] == {'iter': 3}
            and content['state_dict'].keys() == weights.keys()
            and all(torch.equal(value, weights[key]) for key, value in content['state_dict'].items())
        )

    refused = check(path, read_checkpoint, same)
    assert refused >= (3 if checksum else 2) * PER_DAMAGE - 100
    assert damage_of(path) is None


@pytest.mark.slow
def test_class_statistics(tmp_path):
    """A damaged cache is counted again."""
    scenes = SceneFolder(tmp_path / 'scenes')
    for name in 'abc':
        scenes.add(name, picture(channels=1, largest=2))
    init_default_scope('mmseg')
    dataset = DATASETS.build(scenes.config())
    right = class_statistics(dataset)
    cache = next(scenes.root.glob('class_statistics_*.json'))
    refused = check(
        cache,
        lambda path: class_statistics(dataset),
        lambda found: np.array_equal(found.pixels, right.pixels) and np.array_equal(found.ignored, right.ignored),
    )
    assert refused == 0
