from pathlib import Path

import cv2
import pytest
from mmengine.visualization import BaseVisBackend

from tests.engine.toys import PALETTE, build_runner, toy_config, train, write_toy_data
from udass.visualization.hooks import PanelHook


@pytest.fixture(scope='module')
def toy_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_data(tmp_path_factory.mktemp('toy'))


def test_panels_go_to_every_backend(toy_root, tmp_path):
    shown = []

    class Tracker(BaseVisBackend):
        experiment = None

        def _init_env(self):
            pass

        def add_image(self, name, image, step=0, **kwargs):
            shown.append((name, image.shape, step))

    runner = build_runner(
        toy_config(toy_root, tmp_path, max_iters=4), custom_hooks=[dict(type='PanelHook', interval=2)]
    )
    runner.visualizer._vis_backends['tracker'] = Tracker(str(tmp_path))
    runner.train()
    picture = cv2.imread(str(tmp_path / 'panels' / 'iter_000004.png'))
    assert shown == [('panel', picture.shape, 2), ('panel', picture.shape, 4)]
    assert not list(tmp_path.glob('*/vis_data/vis_image/*'))


def test_panels_are_kept_and_drawn_every_so_many_iterations_and_at_the_end(toy_root, tmp_path):
    runner = train(toy_config(toy_root, tmp_path, max_iters=5), custom_hooks=[{'type': 'PanelHook', 'interval': 2}])
    assert runner.model.hooked == [False, True, False, True, True]
    assert runner.model.pass_hooks == []
    names = sorted(path.name for path in (tmp_path / 'panels').iterdir())
    assert names == ['iter_000002.png', 'iter_000004.png', 'iter_000005.png']
    picture = cv2.imread(str(tmp_path / 'panels' / 'iter_000002.png'))[..., ::-1]
    # The legend shows every class.
    assert all((picture == colour).all(-1).sum() >= 14 * 14 for colour in PALETTE)


def test_predictions_are_drawn_per_image(toy_root, tmp_path):
    runner = build_runner(
        toy_config(toy_root, tmp_path / 'run'),
        custom_hooks=[{'type': 'PredictionImageHook', 'folder': str(tmp_path / 'pictures')}],
    )
    runner.test()
    names = sorted(path.name for path in (tmp_path / 'pictures').iterdir())
    assert names == [f'{number:05d}_{number:03d}.png' for number in range(8)]


@pytest.mark.parametrize('arguments', [dict(interval=0), dict(max_images=0)])
def test_impossible_intervals_are_refused(arguments):
    with pytest.raises(ValueError, match='at least 1'):
        PanelHook(**arguments)
