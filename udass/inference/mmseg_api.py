"""Configs of this project for the functions of ``mmseg.apis``, which know bare segmentors only."""

from copy import deepcopy

from mmengine.config import Config

from udass.engine.config_files import first_dataset

_NAMES = {'LoadImage': 'LoadImageFromFile', 'PackUDAInputs': 'PackSegInputs'}
_LABELS = ('LoadLabels', 'LoadAnnotations')


def config_for_mmseg(config: Config) -> Config:
    """What ``init_model`` and ``MMSegInferencer`` of mmseg take from the config of an experiment of images: the student
    alone, and a test pipeline without labels under mmseg's names. ValueError if it has no student or no test data.

    They load weights of a bare segmentor, which ``udass convert CHECKPOINT OUT`` writes. `Segmenter` needs neither, and
    gives the same class ids.
    """
    if 'student' not in config.get('model', {}) or config.get('test_dataloader') is None:
        raise ValueError('config_for_mmseg needs the config of an experiment, with model.student and test_dataloader')
    config = deepcopy(config)
    config.model = config.model.student
    dataset = config.test_dataloader.dataset = first_dataset(config.test_dataloader.dataset)
    pipeline = [
        {**transform, 'type': _NAMES.get(transform['type'], transform['type'])}
        for transform in dataset.pipeline
        if transform['type'] not in _LABELS
    ]
    config.test_pipeline = dataset.pipeline = pipeline
    return config
