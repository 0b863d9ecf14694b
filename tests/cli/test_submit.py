"""tools/test.py --submission, from the checkpoint to the unpacked zip file."""

import zipfile

import cv2
import numpy as np

from tests.cli.calls import call
from tests.engine.toys import toy_config, train, write_toy_data
from udass.cli import test as test_tool

CHANGES = """
_base_ = ['toy.py']
pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
test_dataloader = dict(dataset=dict(pipeline=pipeline, metainfo=dict(submission=dict(
    image_suffix='.png', file_suffix='_ids.png', ids=dict(dark=10, middle=20, bright=30)))))
"""


def test_the_zip_file_holds_the_predictions_in_the_coding_of_the_server(tmp_path, capsys):
    data = write_toy_data(tmp_path / 'data', count=3)
    config = toy_config(data, tmp_path / 'run', max_iters=2)
    config.dump(tmp_path / 'toy.py')
    (tmp_path / 'server.py').write_text(CHANGES)
    train(config)
    common = [tmp_path / 'server.py', tmp_path / 'run' / 'iter_2.pth', '--work-dir', tmp_path / 'test']
    call(test_tool, *common, '--cfg-options', f'test_evaluator.output_dir={tmp_path / "predictions"}')
    for label in (data / 'labels').iterdir():
        label.unlink()
    out = tmp_path / 'new' / 'out.zip'
    call(test_tool, *common, '--submission', out)
    assert f'3 predictions in {out}' in capsys.readouterr().out
    with zipfile.ZipFile(out) as archive:
        assert archive.namelist() == ['000_ids.png', '001_ids.png', '002_ids.png']
        for name in archive.namelist():
            ids = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            trained = cv2.imread(str(tmp_path / 'predictions' / name.replace('_ids', '')), cv2.IMREAD_UNCHANGED)
            assert (ids == 10 + 10 * trained).all()
    assert [path.name for path in out.parent.iterdir()] == ['out.zip']
