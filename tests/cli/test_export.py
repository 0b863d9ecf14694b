"""The command ``udass export``."""

import json

import numpy as np
import pytest

from tests.cli.calls import call, parse
from tests.export.small import convolutional, save
from tests.export.test_network import RESIZE
from udass.cli import UsageError, arguments
from udass.cli import export as command
from udass.export import FORMATS, load
from udass.export.folder import sample_image
from udass.inference import Segmenter


def test_a_checkpoint_becomes_a_folder_beside_it(tmp_path, capsys):
    checkpoint = save(convolutional(), tmp_path / 'iter_7.pth', [RESIZE])
    call(command, checkpoint, '--check')
    out, pixels = tmp_path / 'iter_7_exported', sample_image((50, 60))
    np.testing.assert_array_equal(load(out, device='cpu').predict(pixels), Segmenter(checkpoint, device='cpu')(pixels))
    first, last = capsys.readouterr().out.splitlines()
    assert first == 'model.safetensors: logits within 0.0e+00, 100.000 % equal labels'
    assert last == f'{out}: model.safetensors, config.json, README.md'
    call(command, checkpoint, '--out', tmp_path / 'other', '--cfg-options', 'test_dataloader.dataset.pipeline=[]')
    assert json.loads((tmp_path / 'other' / 'config.json').read_text())['resize'] == []


def test_arguments(capsys):
    args = parse('export', 'a.pth', '--format', 'onnx', 'pt2', '--size', '512x1024', '--output', 'ids')
    assert (args.formats, args.size, args.output, args.compare) == (['onnx', 'pt2'], (512, 1024), 'ids', False)
    assert arguments.EXPORT_FORMATS == FORMATS
    with pytest.raises(SystemExit):
        parse('export', 'a.pth', '--size', '512')
    assert "'512' is not height x width in pixels, such as 512x1024" in capsys.readouterr().err
    with pytest.raises(UsageError, match='give a checkpoint, or a config and a checkpoint'):
        call(command, 'a.py', 'b.pth', 'c.pth')
