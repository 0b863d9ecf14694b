"""A signal at an awkward moment: the state is saved within seconds, and the run ends with a message and its status."""

import signal
import threading
import time
from os import getpid, kill

import pytest
from mmcv.transforms import BaseTransform
from mmseg.registry import TRANSFORMS

from tests.engine.toys import build_runner, same_weights, toy_config, train
from udass.engine.checkpoint import latest_checkpoint

PAUSE = 600
# Far less than the pause, with room for a busy machine.
PATIENCE = 90


@TRANSFORMS.register_module()
class Pause(BaseTransform):
    """Says that it was reached, then keeps the process that loads for ten minutes.

    Args:
        mark: file to make.
        name: of the only image that it happens with; None = all.
    """

    def __init__(self, mark: str, name: str | None = None) -> None:
        self.mark, self.name = mark, name

    def transform(self, results: dict) -> dict:
        if self.name is None or self.name in results['img_path']:
            open(self.mark, 'w').close()
            time.sleep(PAUSE)
        return results


def signal_once(mark, signum):
    """Sends the signal to this process once the file ``mark`` is there."""

    def wait():
        while not mark.exists():
            time.sleep(0.01)
        time.sleep(0.1)
        kill(getpid(), signum)

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.slow
@pytest.mark.parametrize('where', ['loaders', 'start', 'validation'])
def test_the_wait_is_cut_short_and_the_run_can_be_resumed(toy_root, tmp_path, where):
    whole = train(toy_config(toy_root, tmp_path / 'whole', max_iters=4, val_begin=3))
    config = toy_config(toy_root, tmp_path / 'run', max_iters=4, val_begin=3, num_workers=1)
    stuck = toy_config(toy_root, tmp_path / 'run', max_iters=4, val_begin=3, num_workers=1)
    mark = tmp_path / 'mark'
    signum, status = (signal.SIGINT, 130) if where == 'loaders' else (signal.SIGTERM, 143)
    if where == 'validation':
        stuck.val_dataloader.num_workers = 1
        stuck.val_dataloader.dataset.pipeline.insert(0, dict(type='Pause', mark=str(mark)))
    else:
        # At once, or with an image that comes later.
        name = None if where == 'start' else f'{whole.model.seen[3]["target"][1]}.png'
        stuck.train_dataloader.target.dataset.pipeline.insert(0, dict(type='Pause', mark=str(mark), name=name))
    runner = build_runner(stuck)
    messages = []
    runner.logger.info = messages.append
    signal_once(mark, signum)
    start = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        runner.train()
    assert time.monotonic() - start < PATIENCE
    assert stop.value.code == status
    assert latest_checkpoint(tmp_path / 'run') == tmp_path / 'run' / f'iter_{runner.iter}.pth'
    assert any(f'Stopped after iteration {runner.iter} of 4, saved as' in message for message in messages)
    assert runner.iter == {'start': 0, 'validation': 3}.get(where, runner.iter)
    resumed = train(config, resume=True)
    assert runner.model.seen + resumed.model.seen == whole.model.seen
    assert same_weights(resumed.model, whole.model)
