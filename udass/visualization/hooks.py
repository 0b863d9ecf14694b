"""Hooks that draw what the networks are trained on, and what they predict."""

from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend
from mmseg.registry import HOOKS
from torch import nn

from udass.io.images import read_image
from udass.visualization.canvas import save_image
from udass.visualization.panels import draw_comparison, draw_training_panel


@HOOKS.register_module()
class PanelHook(Hook):
    """Draws what the networks are trained on: ``<work_dir>/panels/iter_<iteration>.png``, and ``panel`` in TensorBoard,
    W&B and other backends of the visualizer.

    The model is a `TrainingModel`, whose pass hooks give the clips.

    Args:
        interval (int): iterations between two panels; the last iteration is drawn too.
        max_images (int): rows of a panel, i.e. images of the batch.
    """

    priority = 'LOW'

    def __init__(self, interval: int = 500, max_images: int = 4) -> None:
        if interval < 1 or max_images < 1:
            raise ValueError(f'interval and max_images must be at least 1, got {interval} and {max_images}')
        self.interval = interval
        self.max_images = max_images
        self._panels: dict[str, dict] = {}

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if self._draws(runner):
            _unwrapped(runner).pass_hooks.append(self._record)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if not self._draws(runner):
            return
        model, meta = _unwrapped(runner), runner.train_dataloader.dataset.metainfo
        model.pass_hooks.remove(self._record)
        panel = draw_training_panel(self._panels, meta['classes'], meta['palette'], self.max_images)
        save_image(Path(runner.work_dir) / 'panels' / f'iter_{runner.iter + 1:06d}.png', panel)
        for backend in runner.visualizer._vis_backends.values():
            # The local one would write the same file once more.
            if not isinstance(backend, LocalVisBackend):
                backend.add_image('panel', panel, step=runner.iter + 1)
        self._panels = {}

    def _record(self, name: str, clip: object) -> None:
        self._panels[name] = vars(clip)

    def _draws(self, runner: Runner) -> bool:
        due = self.every_n_train_iters(runner, self.interval) or self.is_last_train_iter(runner)
        return is_main_process() and due


@HOOKS.register_module()
class PredictionImageHook(Hook):
    """Writes a panel per tested image: image, prediction and truth side by side with a legend.

    Args:
        folder (str): where to; files are named after the images, with their number in front.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self._written = 0

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: list | None = None
    ) -> None:
        meta = runner.test_dataloader.dataset.metainfo
        for sample in outputs or []:
            columns = {'prediction': [sample.pred_sem_seg.data[0].cpu().numpy()]}
            if 'gt_sem_seg' in sample:
                columns['truth'] = [sample.gt_sem_seg.data[0].cpu().numpy()]
            image = read_image(sample.img_path)[..., ::-1].copy()
            comparison = draw_comparison([image], columns, meta['classes'], meta['palette'])
            # With several processes the numbers would collide.
            name = f'{self._written * runner.world_size + runner.rank:05d}_{Path(sample.img_path).stem}.png'
            save_image(self.folder / name, comparison)
            self._written += 1


def _unwrapped(runner: Runner) -> nn.Module:
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
