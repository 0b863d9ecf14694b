"""The functions of mmseg.apis with configs and checkpoints of this project."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmseg.apis import MMSegInferencer, inference_model, init_model

from tests.inference.conftest import CONFIGS
from udass.cli.main import main
from udass.inference import Segmenter, config_for_mmseg


@pytest.fixture
def student(image_run, tmp_path):
    """The bare student of a run, as the command writes it."""
    main(['convert', str(image_run[1]), str(tmp_path / 'student.pth')])
    return tmp_path / 'student.pth'


def test_init_model_and_the_inferencer_give_the_ids_of_the_segmenter(image_run, student, streets, tmp_path):
    config = config_for_mmseg(Config.fromfile(image_run[0]))
    # Not of the size that the network sees: the resize of the pipeline and the way back take part.
    image = cv2.resize(cv2.imread(str(next(streets.rglob('*.png')))), (200, 110))
    path = str(tmp_path / 'a.png')
    cv2.imwrite(path, image)
    expected = Segmenter(image_run[1], device='cpu')(path)
    found = inference_model(init_model(config, str(student), device='cpu'), path).pred_sem_seg.data[0].numpy()
    np.testing.assert_array_equal(found, expected)
    inferencer = MMSegInferencer(
        config_for_mmseg(Config.fromfile(image_run[0])), str(student), device='cpu', show_progress=False
    )
    np.testing.assert_array_equal(inferencer(path)['predictions'], expected)


def test_init_model_of_a_training_says_what_to_do(image_run):
    with pytest.raises(ValueError, match='init_model takes bare segmentors, and DomainAdapter holds .*Segmenter'):
        init_model(Config.fromfile(image_run[0]), str(image_run[1]), device='cpu')


def test_of_several_test_sets_the_pipeline_of_the_first_is_taken(image_run):
    config = Config.fromfile(image_run[0])
    one = config_for_mmseg(config)
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[config.test_dataloader.dataset] * 2)
    assert config_for_mmseg(config).test_pipeline == one.test_pipeline


def test_a_config_without_a_student_is_refused():
    with pytest.raises(ValueError, match='model.student and test_dataloader'):
        config_for_mmseg(Config.fromfile(CONFIGS / '_base_' / 'default_runtime.py'))
