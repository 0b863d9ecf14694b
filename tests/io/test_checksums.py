"""Every bit of a file that has checksums is covered by them."""

import random

import cv2
import numpy as np
import pytest
import torch

from udass.engine.checkpoint import damage_of
from udass.io.checksums import add_checksum, check_checksum, is_damaged_png
from udass.models.checkpoints import read_checkpoint


def with_flipped_bit(content: bytes, bit: int) -> bytes:
    flipped = bytearray(content)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.fixture()
def checkpoint(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'state_dict': {'weight': torch.rand(50, 50)}, 'meta': {'iter': 3}}, path)
    add_checksum(path)
    return path


def test_a_checksum_leaves_a_checkpoint_readable_for_others(checkpoint):
    for options in ({}, {'mmap': True}):
        content = torch.load(checkpoint, weights_only=True, **options)
        assert content['meta'] == {'iter': 3} and content['state_dict']['weight'].shape == (50, 50)
    assert read_checkpoint(checkpoint)['meta'] == {'iter': 3} and damage_of(checkpoint) is None
    with pytest.raises(ValueError, match=r'a\.pth is not a zip file without a comment'):
        add_checksum(checkpoint)


def test_every_flipped_bit_of_a_checkpoint_is_found(checkpoint):
    whole = checkpoint.read_bytes()
    bits = [*random.Random(0).sample(range(8 * len(whole)), 300), *range(8 * len(whole) - 8 * 42, 8 * len(whole))]
    for bit in bits:
        checkpoint.write_bytes(with_flipped_bit(whole, bit))
        with pytest.raises(ValueError, match=r'a\.pth is not a readable checkpoint \('):
            read_checkpoint(checkpoint)


def test_a_cut_or_lengthened_checkpoint_is_found(checkpoint):
    whole = checkpoint.read_bytes()
    for content in (b'', whole[:1], whole[:100], whole[:-1], whole[:-20], whole[:-42], whole + b'\0', whole + whole):
        checkpoint.write_bytes(content)
        with pytest.raises(ValueError, match=r'a\.pth is not a readable checkpoint'):
            read_checkpoint(checkpoint)


def test_a_file_of_another_program_is_compared_with_the_checksums_of_its_zip_file(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save({'weight': torch.zeros(1000)}, path)
    check_checksum(path)
    content = path.read_bytes()
    middle = content.index(bytes(4000)) + 2000
    path.write_bytes(with_flipped_bit(content, 8 * middle))
    with pytest.raises(ValueError, match='the checksum of a/data/0 is wrong'):
        check_checksum(path)
    torch.save({'weight': torch.ones(2)}, path, _use_new_zipfile_serialization=False)
    assert read_checkpoint(path)['state_dict']['weight'].tolist() == [1, 1]


@pytest.mark.parametrize(
    'image', [np.random.default_rng(0).integers(0, 19, (40, 60), np.uint8), np.zeros((30, 40, 3), np.uint16)]
)
def test_every_flipped_bit_of_a_png_is_found(image):
    whole = cv2.imencode('.png', image)[1].tobytes()
    assert not is_damaged_png(whole) and not is_damaged_png(whole + b'what follows the end is not read')
    # The signature says that it is a PNG file; without it, decoders refuse the file.
    for bit in random.Random(0).sample(range(8 * 8, 8 * len(whole)), 1000 if len(whole) > 200 else 300):
        assert is_damaged_png(with_flipped_bit(whole, bit))
    for size in range(8, len(whole)):
        assert is_damaged_png(whole[:size])
    assert not is_damaged_png(b'GIF89a') and not is_damaged_png(b'')
