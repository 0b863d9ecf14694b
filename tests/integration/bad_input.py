"""Files and calls that are wrong in one way each: what `test_bad_input.py` tries out."""

import os
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import DATASETS, MODELS
from torch import nn

from tests.cli.calls import call
from tests.datasets.conftest import SceneFolder
from tests.engine.toys import build_runner, toy_config, train
from udass.cli import train as train_tool
from udass.datasets import SampleKey, SeededDataset, SeededInfiniteSampler
from udass.engine.config import load_config
from udass.flow.files import read_flow, write_flow
from udass.models.checkpoints import read_checkpoint

CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = CONFIGS / 'streets_quadmix.py'


class Harmful:
    """An object whose unpickling makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.system, (f'touch {self.mark}',)


def touch(mark: Path) -> dict:
    """A component that would make a file if it were built."""
    return dict(type='os.system', command=f'touch {mark}')


class Place:
    """Where a case puts its files.

    Args:
        folder: empty.
        trained: work dir of a finished toy run of 4 iterations, and its data.
    """

    def __init__(self, folder: Path, trained: tuple[Path, Path]) -> None:
        self.folder = folder
        self.mark = folder / 'harm'
        self.toy_data, self.trained = trained
        self._scenes: SceneFolder | None = None

    def file(self, name: str, content: bytes | str = b'') -> Path:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def saved(self, name: str, content: object) -> Path:
        torch.save(content, self.folder / name)
        return self.folder / name

    @property
    def scenes(self) -> SceneFolder:
        """Two good pictures of 20 x 30."""
        if self._scenes is None:
            self._scenes = SceneFolder(self.folder / 'scenes')
            for name in ('a', 'b'):
                self._scenes.add(name, np.zeros((20, 30), np.uint8))
        return self._scenes

    def load(self, **changes: object) -> dict:
        """Loads the first sample of the scenes as training does."""
        dataset = SeededDataset(self.scenes.config(**changes))
        return dataset[next(iter(SeededInfiniteSampler(dataset, seed=0, shuffle=False)))]

    def toy(self, changes: dict | None = None, **train_cfg: object) -> None:
        """Trains the toy, with changes of its config."""
        config = toy_config(self.toy_data, self.folder / 'run', max_iters=2, **train_cfg)
        train(config, **(changes or {}))

    def resumable(self) -> Path:
        """A copy of the trained work dir."""
        return Path(shutil.copytree(self.trained, self.folder / 'run'))

    def resume(self, **changes: object) -> None:
        build_runner(toy_config(self.toy_data, self.folder / 'run', max_iters=4), resume=True, **changes).train()


def option(**changes):
    """Loading the config with options, as `--cfg-options` gives them (two underscores for a dot)."""
    options = {key.replace('__', '.'): value for key, value in changes.items()}
    return lambda at: load_config(CONFIG, options)


def built(kind, **arguments):
    return lambda at: MODELS.build(dict(type=kind, **arguments))


def train_with(*arguments):
    """udass train, up to the training."""
    return lambda at: call(train_tool, *arguments)


def cut(path, keep=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    return path


# ------------------------------------------------------------------ the files of each case


def missing_folder(at):
    config = load_config(CONFIG, {'train_dataloader.source.dataset.data_root': '/nowhere'})
    DATASETS.build(config.train_dataloader.source.dataset)


def truncated_image(at):
    cut(at.scenes.root / 'images' / 'a.png')
    at.load()


def text_as_image(at):
    (at.scenes.root / 'images' / 'a.png').write_text('404 not found')
    at.load()


def empty_image(at):
    (at.scenes.root / 'images' / 'a.png').write_bytes(b'')
    at.load()


def lost_image(at):
    dataset = SeededDataset(at.scenes.config())
    (at.scenes.root / 'images' / 'a.png').unlink()
    dataset[SampleKey(index=0, number=0, stream_seed=0)]


def unlabelled_image(at):
    at.scenes.add('c', None, image=np.zeros((20, 30, 3), np.uint8))
    at.load()


def unknown_ids(at):
    at.scenes.add('a', np.full((20, 30), 77, np.uint8))
    at.load()


def other_size(at):
    at.scenes.add('a', np.zeros((20, 28), np.uint8), image=np.zeros((20, 30, 3), np.uint8))
    at.load()


def coloured_label(at):
    cv2.imwrite(str(at.scenes.root / 'labels' / 'a.png'), np.zeros((20, 30, 3), np.uint8))
    at.load()


def truncated_label(at):
    cut(at.scenes.root / 'labels' / 'a.png')
    at.load()


def no_pictures(at):
    shutil.rmtree(at.scenes.root / 'images')
    (at.scenes.root / 'images').mkdir()
    (at.scenes.root / 'images' / 'readme.txt').touch()
    at.load()


def damaged_archive(at):
    shutil.rmtree(at.scenes.root / 'images')
    (at.scenes.root / 'images.zip').write_bytes(b'not a zip')
    at.load()


def damaged_archive_member(at):
    shutil.rmtree(at.scenes.root / 'images')
    path = at.scenes.root / 'images.zip'
    with zipfile.ZipFile(path, 'w') as file:
        for name in ('a', 'b'):
            file.writestr(f'images/{name}.png', bytes(1000))
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    at.load()


def large_crop(at):
    at.load(transforms=[dict(type='RareClassCrop', crop_size=(512, 512))])


def other_classes(at):
    changes = {'train_dataloader.target.dataset.metainfo': dict(classes=('dark', 'bright', 'middle'))}
    at.toy(changes)


def cut_flo(at):
    write_flow(at.folder / 'a.flo', np.zeros((4, 6, 2), np.float32))
    read_flow(cut(at.folder / 'a.flo'))


def picture_as_flow(at):
    cv2.imwrite(str(at.folder / 'a.png'), np.zeros((4, 6, 3), np.uint8))
    read_flow(at.folder / 'a.png')


def objects_as_flow(at):
    np.save(at.folder / 'a.npy', np.array([Harmful(at.mark)], dtype=object))
    read_flow(at.folder / 'a.npy')


def flow_of_other_frames(at):
    folder = at.folder / 'flow'
    write_flow(folder / 'x_000000_000019_000018_int16_x10.npy', np.zeros((4, 6, 2), np.float32))
    estimator = MODELS.build(dict(type='PrecomputedFlow', folder=str(folder), naming='cityscapes'))
    frames = [at.folder / f'x_000000_{number:06d}_leftImg8bit.png' for number in (19, 18)]
    estimator(*frames, size=(32, 32))


def harmful(name, save):
    def case(at):
        path = at.folder / name
        save(Harmful(at.mark), path)
        read_checkpoint(path)

    return case


def harmful_start(at):
    at.toy({'load_from': str(at.saved('a.pth', {'state_dict': {}, 'meta': Harmful(at.mark)}))})


def harmful_pretrained(at):
    """Through mmengine's own loader, which would fall back to unpickling."""
    load_checkpoint(nn.Linear(1, 1), str(at.saved('a.pth', {'state_dict': {}, 'meta': Harmful(at.mark)})))


def harmful_backbone(at):
    path = at.saved('a.pth', {'weight': Harmful(at.mark)})
    built_backbone(str(path))


def harmful_flow_network(at):
    path = at.saved('a.pth', {'weight': Harmful(at.mark)})
    MODELS.build(dict(type='RAFTFlow', checkpoint=str(path)))(*[np.zeros((128, 128, 3), np.uint8)] * 2)


def built_backbone(checkpoint):
    MODELS.build(dict(type='TimmBackbone', name='test_resnet', checkpoint=checkpoint)).init_weights()


def half_a_backbone(at):
    weights = MODELS.build(dict(type='TimmBackbone', name='test_resnet', pretrained=False)).net.state_dict()
    del weights[next(iter(weights))]
    built_backbone(str(at.saved('a.pth', weights)))


def cut_resume(at):
    for path in at.resumable().glob('*.pth'):
        cut(path)
    at.resume()


def other_seed(at):
    at.resumable()
    at.resume(randomness=dict(seed=7))


def other_network(at):
    at.resumable()
    at.resume(**{'model.width': 9})


def weights_only_resume(at):
    path = at.saved('weights.pth', {'student.0.weight': torch.zeros(4, 3, 3, 3)})
    at.resume(load_from=str(path))
