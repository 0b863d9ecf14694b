"""Submission files for the benchmark servers: a zip file with one PNG of class ids per image, named as they ask."""

import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from udass.evaluation.iou import prediction_at
from udass.io.writing import atomic_path, remove_orphans, temporary_path, write_image

_LABEL_LOADERS = ('LoadLabels', 'LoadAnnotations')


@METRICS.register_module()
class SubmissionFiles(BaseMetric):
    """Writes predictions for a server instead of measuring them; needs no labels.

    ``submission`` in the metainfo of the data set describes what the server takes:

    - ``image_suffix``, ``file_suffix``: the file of the image ``<name><image_suffix>`` is ``<name><file_suffix>``;
    - ``ids`` (optional): class name -> id to write, 0..255; without it the train ids are written.

    Files lie in the zip file without folders, at the size of the image files.

    Args:
        path (str): zip file to write; one that exists is replaced.
        collect_device (str), prefix (str | None): see ``ClassIoUMetric``.

    Raises:
        ValueError: the name is no zip file's, the data set has no server, or two images have one name.
    """

    # Without a prefix mmengine warns at every start.
    default_prefix = ''

    def __init__(self, path: str, collect_device: str = 'gpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if not path.endswith('.zip'):
            raise ValueError(f'a submission is a zip file: its name must end in .zip, got {path}')
        self.path = Path(path)
        # Beside the zip file, where every process can write, so that only names travel between processes. Another test
        # that writes the same zip file has another folder.
        folder = [temporary_path(self.path.parent)]
        broadcast_object_list(folder)
        self._folder: Path = folder[0]

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Write the files of a batch."""
        ids = submission_ids(self.dataset_meta)
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(self.path.parent, os.getpid())
        for sample in data_samples:
            labels = prediction_at(sample, tuple(sample['ori_shape'][:2]))[0].cpu().numpy()
            name = submission_name(sample['img_path'], self.dataset_meta['submission'])
            write_image(self._folder / name, ids[labels])
            self.results.append(name)

    def compute_metrics(self, results: list[str]) -> dict[str, float]:
        """Put the files into the zip file; returns ``images``, their number."""
        names = sorted(results)
        try:
            double = next((name for name, following in zip(names, names[1:], strict=False) if name == following), None)
            if double is not None:
                raise ValueError(f'two images would be written as {double}: rename or remove one of them')
            with atomic_path(self.path) as temporary, zipfile.ZipFile(temporary, 'w') as archive:
                for name in names:
                    # PNG files are compressed already.
                    archive.write(self._folder / name, name)
        finally:
            shutil.rmtree(self._folder)
        return {'images': len(names)}


def submission_ids(metainfo: Mapping) -> np.ndarray:
    """Id to write for each class of a data set, (C,) uint8; ValueError if the data set has no server, or a class has no
    id of 8 bits."""
    if metainfo.get('submission') is None:
        raise ValueError(
            'there is no server for this data set: its metainfo has no submission=dict(image_suffix=..., '
            'file_suffix=..., ids=...). For plain PNG files of train ids use --predictions DIR'
        )
    classes, ids = metainfo['classes'], metainfo['submission'].get('ids')
    if ids is None:
        return np.arange(len(classes), dtype=np.uint8)
    missing = [name for name in classes if name not in ids]
    if missing:
        raise ValueError(f'submission.ids of the data set has no id for {missing}')
    wrong = {name: ids[name] for name in classes if not 0 <= ids[name] <= 255}
    if wrong:
        raise ValueError(f'submission.ids of the data set are written as 8 bits, 0 to 255, got {wrong}')
    return np.array([ids[name] for name in classes], dtype=np.uint8)


def submission_name(image: str, rules: Mapping) -> str:
    """Name of the file to submit for an image file; ``rules`` are ``submission`` of the data set."""
    name = Path(image).name
    if not name.endswith(rules['image_suffix']):
        raise ValueError(f'{image} does not end in {rules["image_suffix"]}: use the original images of this benchmark')
    return name.removesuffix(rules['image_suffix']) + rules['file_suffix']


def use_for_submission(config: Config, path: str, split: str) -> None:
    """Change a config so that testing it writes a submission of the images of a split to a zip file; the labels of
    'test' are kept by the servers. ValueError if the config tests on several data sets."""
    dataset = config.test_dataloader.dataset
    if 'pipeline' not in dataset:
        raise ValueError(
            f'a submission is about one data set, but test_dataloader.dataset is a {dataset.type}: take a config that '
            'tests on the data set of the server alone'
        )
    if 'split' in dataset:
        dataset.split = split
        dataset.labelled = False
    dataset.pipeline = [transform for transform in dataset.pipeline if transform['type'] not in _LABEL_LOADERS]
    config.test_evaluator = {'type': 'SubmissionFiles', 'path': path}
    if is_main_process():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
