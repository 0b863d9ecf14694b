"""What the servers get."""

import zipfile

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from udass.datasets import ACDC, Cityscapes, DarkZurich
from udass.evaluation import SubmissionFiles, use_for_submission


def sample(path, labels, ori_shape=None):
    labels = torch.as_tensor(labels)
    return {'img_path': path, 'ori_shape': ori_shape or tuple(labels.shape), 'pred_sem_seg': {'data': labels[None]}}


def unpacked(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {
            name: cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            for name in archive.namelist()
        }


def submit(path, kind, samples):
    metric = SubmissionFiles(str(path))
    metric.dataset_meta = kind.METAINFO
    for item in samples:
        metric.process({}, [item])
    return metric.evaluate(len(samples))


def test_cityscapes_wants_label_ids(tmp_path):
    prediction = np.arange(19)[None].repeat(2, 0)
    folder = 'data/leftImg8bit/test'
    samples = [
        sample(f'{folder}/bonn/bonn_000000_000019_leftImg8bit.png', prediction),
        sample(f'{folder}/berlin/berlin_000543_000019_leftImg8bit.png', prediction[:, ::-1].copy()),
    ]
    result = submit(tmp_path / 'out.zip', Cityscapes, samples)
    files = unpacked(tmp_path / 'out.zip')
    ids = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert list(files) == ['berlin_000543_000019_leftImg8bit.png', 'bonn_000000_000019_leftImg8bit.png']
    assert files['bonn_000000_000019_leftImg8bit.png'].tolist() == [ids, ids]
    assert files['berlin_000543_000019_leftImg8bit.png'].tolist() == [ids[::-1]] * 2
    assert result == {'images': 2}
    assert [path.name for path in tmp_path.iterdir()] == ['out.zip']


@pytest.mark.parametrize('kind', [ACDC, DarkZurich])
def test_the_others_want_train_ids(tmp_path, kind):
    submit(tmp_path / 'out.zip', kind, [sample('a/GOPR0475_frame_000001_rgb_anon.png', [[0, 18], [11, 5]])])
    files = unpacked(tmp_path / 'out.zip')
    assert list(files) == ['GOPR0475_frame_000001_gt_labelTrainIds.png']
    pixels = files['GOPR0475_frame_000001_gt_labelTrainIds.png']
    assert pixels.dtype == np.uint8 and pixels.tolist() == [[0, 18], [11, 5]]


def test_predictions_have_the_size_of_the_image_file(tmp_path):
    submit(tmp_path / 'out.zip', ACDC, [sample('b_rgb_anon.png', [[3, 4]], ori_shape=(2, 4))])
    assert unpacked(tmp_path / 'out.zip')['b_gt_labelTrainIds.png'].tolist() == [[3, 3, 4, 4]] * 2


def test_two_images_of_one_name(tmp_path):
    with pytest.raises(ValueError, match=r'two images would be written as a_gt_labelTrainIds\.png'):
        submit(tmp_path / 'out.zip', ACDC, [sample('fog/a_rgb_anon.png', [[0]]), sample('rain/a_rgb_anon.png', [[0]])])


def test_what_cannot_be_submitted(tmp_path):
    with pytest.raises(ValueError, match=r'must end in \.zip, got out'):
        SubmissionFiles('out')
    metric = SubmissionFiles(str(tmp_path / 'a.zip'))
    metric.dataset_meta = {'classes': ('a',)}
    with pytest.raises(ValueError, match='there is no server for this data set'):
        metric.process({}, [sample('a.png', [[0]])])
    metric.dataset_meta = Cityscapes.METAINFO
    with pytest.raises(ValueError, match=r'a\.png does not end in _leftImg8bit\.png'):
        metric.process({}, [sample('a.png', [[0]])])


def test_the_config_is_changed_to_the_unlabelled_split(tmp_path):
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels'), dict(type='PackUDAInputs')]
    dataset = dict(type='ACDC', split='val', pipeline=pipeline)
    config = Config(dict(test_dataloader=dict(dataset=dataset), test_evaluator=dict(type='X')))
    use_for_submission(config, str(tmp_path / 'new' / 'out.zip'), 'test')
    dataset = config.test_dataloader.dataset
    assert (dataset.split, dataset.labelled) == ('test', False)
    assert [step['type'] for step in dataset.pipeline] == ['LoadImage', 'PackUDAInputs']
    assert config.test_evaluator.type == 'SubmissionFiles' and (tmp_path / 'new').is_dir()


def test_two_tests_write_one_zip_file(tmp_path):
    metrics = [SubmissionFiles(str(tmp_path / 'out.zip')) for _ in range(2)]
    for number, metric in enumerate(metrics):
        metric.dataset_meta = ACDC.METAINFO
        metric.process({}, [sample('a_rgb_anon.png', [[number]])])
    for number, metric in enumerate(metrics):
        assert metric.evaluate(1) == {'images': 1}
        assert unpacked(tmp_path / 'out.zip')['a_gt_labelTrainIds.png'].tolist() == [[number]]
    assert [path.name for path in tmp_path.iterdir()] == ['out.zip']


def test_ids_of_more_than_8_bits_are_refused(tmp_path):
    metric = SubmissionFiles(str(tmp_path / 'out.zip'))
    rules = dict(image_suffix='.png', file_suffix='.png', ids=dict(a=0, b=300))
    metric.dataset_meta = dict(classes=('a', 'b'), submission=rules)
    with pytest.raises(ValueError, match=r"written as 8 bits, 0 to 255, got \{'b': 300\}"):
        metric.process({}, [sample('a.png', [[1]])])
