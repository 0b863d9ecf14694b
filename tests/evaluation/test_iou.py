import json
import math

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric
from PIL import Image

from udass.evaluation.iou import ClassIoUMetric, iou_table, write_scores


def sample(prediction, truth, logits=None, **more):
    more['pred_sem_seg'] = {'data': torch.as_tensor(prediction)[None]}
    more['gt_sem_seg'] = {'data': torch.as_tensor(truth)[None]}
    return more if logits is None else {**more, 'seg_logits': {'data': logits}}


def evaluated(samples, classes='ab', protocols=None, **options):
    metric = ClassIoUMetric(**options)
    metric.dataset_meta = {'classes': classes, 'protocols': protocols or {}}
    metric.process({}, samples)
    return metric, metric.evaluate(len(samples))


def test_scores_computed_by_hand():
    # Class b: 2 right, 1 missed, 1 too many. Class c occurs only in the prediction, on a pixel of a and an ignored one.
    metric, result = evaluated(
        [sample([[0, 0, 2], [1, 1, 1]], [[0, 0, 0], [1, 1, 0]]), sample([[0, 2]], [[1, 255]])], ('a', 'b', 'c')
    )
    table = metric.table
    assert table.iou[:2] == pytest.approx((2 / 5, 2 / 4)) and math.isnan(table.iou[2])
    assert table.recall[:2] == pytest.approx((2 / 4, 2 / 3)) and math.isnan(table.recall[2])
    assert table.absent == ('c',)
    assert table.pixel_accuracy == pytest.approx(4 / 7)
    assert result == {'mIoU': 45.0, 'mAcc': round(100 * (1 / 2 + 2 / 3) / 2, 4), 'aAcc': round(400 / 7, 4)}


def test_the_base_metric_agrees_where_every_class_occurs():
    rng = torch.Generator().manual_seed(0)
    samples = [
        sample(torch.randint(4, (9, 7), generator=rng), torch.randint(4, (9, 7), generator=rng)) for _ in range(5)
    ]
    _, result = evaluated(samples, 'abcd')
    base = IoUMetric()
    base.dataset_meta = {'classes': 'abcd'}
    base.process({}, samples)
    expected = base.evaluate(len(samples))
    assert {key: round(value, 2) for key, value in result.items()} == pytest.approx(
        {key: float(value) for key, value in expected.items()}, abs=0.011
    )


def test_counts_beyond_single_precision_are_exact():
    big = 2**25
    table = iou_table(torch.tensor([[big + 1, 1], [2, 0]]), ('a', 'b'))
    assert table.iou == ((big + 1) / (big + 4), 0) and table.recall[0] == (big + 1) / (big + 2)


def test_predictions_are_compared_at_the_size_of_the_truth():
    truth = torch.tensor([[0, 0, 1, 1]]).repeat(4, 1)
    logits = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]]).repeat(1, 2, 1)
    metric, _ = evaluated([sample(logits.argmax(0), truth, logits)])
    assert metric.table.iou == (1.0, 1.0)
    metric, _ = evaluated([sample([[0, 1], [0, 1]], truth)])
    assert metric.table.iou == (1.0, 1.0)


def test_the_table_counts_and_names_what_is_left_out():
    metric, _ = evaluated([sample([[0, 1]], [[0, 0]])], ('road', 'train', 'bus'))
    text = metric.table.to_text()
    assert '| mean  | 50.00 |  50.00 |' in text.splitlines()
    assert '2 of 3 classes do not occur in the truth and do not count in the means: train, bus' in text
    assert metric.table.to_dict() == {
        'mIoU': 50.0,
        'mean_recall': 50.0,
        'pixel_accuracy': 50.0,
        'absent': ['train', 'bus'],
        'IoU': {'road': 50.0, 'train': None, 'bus': None},
    }


def test_nothing_to_evaluate_is_an_error():
    with pytest.raises(ValueError, match='no pixel of the test set has a label'):
        evaluated([sample([[0]], [[255]])])


def test_an_image_of_a_data_set_without_labels_is_named():
    unlabelled = sample([[0]], [[0]], img_path='a.png')
    del unlabelled['gt_sem_seg']
    with pytest.raises(ValueError, match=r'a\.png has no label to compare with: test on a labelled data set'):
        evaluated([unlabelled])


def test_an_ignored_class_does_not_count():
    metric, _ = evaluated([sample([[0, 1, 1]], [[0, 0, 1]])], ignore_index=0)
    assert math.isnan(metric.table.iou[0]) and metric.table.iou[1] == 1


def test_protocols_are_means_over_some_classes():
    # IoU: a 1/2, b 1/3, c 0/1; d does not occur.
    metric, result = evaluated(
        [sample([[0, 1, 1, 1]], [[0, 0, 1, 2]])],
        ('a', 'b', 'c', 'd'),
        {'two': ['a', 'b'], 'one': ['b', 'd'], 'none': ['d']},
    )
    assert result['mIoU'] == round(100 * (1 / 2 + 1 / 3) / 3, 4)
    assert result['two'] == round(100 * (1 / 2 + 1 / 3) / 2, 4)
    assert result['one'] == round(100 / 3, 4)
    assert 'none' not in result
    assert metric.table.to_dict()['two'] == result['two']
    assert '| two   | 41.67 |        |' in metric.table.to_text().splitlines()


def test_protocols_per_condition_count_their_images_only():
    samples = [
        sample([[0, 1]], [[0, 0]], condition='fog'),
        sample([[1, 1]], [[1, 0]], condition='snow'),
        sample([[0, 0]], [[0, 0]], condition='snow'),
        sample([[1, 1]], [[1, 1]]),
    ]
    _, result = evaluated(
        samples,
        ('a', 'b'),
        {
            'mIoU_fog': dict(condition='fog'),
            'mIoU_snow': dict(condition='snow'),
            'b_snow': dict(condition='snow', classes=['b']),
            'mIoU_rain': dict(condition='rain'),
        },
    )
    assert result['mIoU_fog'] == 50.0
    # Snow: a has 2 of 3 pixels and none too many, b 1 of 1 and one too many.
    assert result['mIoU_snow'] == round(100 * (2 / 3 + 1 / 2) / 2, 4)
    assert result['b_snow'] == 50.0
    assert 'mIoU_rain' not in result


def test_a_clip_is_scored_on_the_frame_to_segment():
    truth = torch.tensor([[[0, 0, 1, 1]], [[1, 1, 1, 1]], [[255, 255, 255, 255]]])
    clip = {'pred_sem_seg': {'data': torch.tensor([[[0, 0, 1, 0]]])}, 'gt_sem_seg': {'data': truth}}
    metric, _ = evaluated([clip])
    assert metric.table.iou == (2 / 3, 1 / 2)
    # Metrics of motion come after it.
    assert clip['gt_sem_seg']['data'] is truth


def test_the_confusion_matrix_and_the_scores_of_every_image_are_kept():
    first = {**sample([[0, 0, 2], [1, 1, 1]], [[0, 0, 0], [1, 1, 0]]), 'img_path': 'x/first.png'}
    metric, _ = evaluated([first, sample([[0, 2]], [[1, 255]])], ('a', 'b', 'c'))
    assert metric.details == {
        'classes': ['a', 'b', 'c'],
        # Rows: truth. Two pixels of a found, one taken for b, one for c; two of b found, one taken for a.
        'confusion': [[2, 1, 1], [1, 2, 0], [0, 0, 0]],
        'images': [
            {'image': 'x/first.png', 'mIoU': round((50 + 200 / 3) / 2, 2), 'IoU': [50.0, 66.67, None]},
            {'image': None, 'mIoU': 0.0, 'IoU': [None, 0.0, None]},
        ],
    }
    assert metric.counts.confusion.tolist() == [
        [[2, 1, 1], [0, 2, 0], [0, 0, 0]],
        [[0, 0, 0], [1, 0, 0], [0, 0, 0]],
    ]


def test_an_image_without_labels_has_no_score():
    metric, _ = evaluated([sample([[0, 1]], [[255, 255]]), sample([[0, 1]], [[0, 1]])])
    assert metric.details['images'][0] == {'image': None, 'mIoU': None, 'IoU': [None, None]}
    assert metric.details['confusion'] == [[1, 0], [0, 1]]


def written(folder, root, images):
    metric, _ = evaluated(
        [sample([ids], [[0, 1]], img_path=image) for image, ids in images.items()],
        output_dir=str(folder),
        image_root=root,
    )
    return metric.details['images'], {
        path.relative_to(folder).as_posix(): np.array(Image.open(path)).tolist() for path in folder.rglob('*.png')
    }


def test_predictions_of_equal_names_keep_their_folders(tmp_path):
    images = {
        'data/images/day/000.jpg': [0, 0],
        'data/images/night/000.jpg': [1, 1],
        'data/images/a.b.jpg': [0, 1],
        'elsewhere/001.jpg': [1, 0],
    }
    details, files = written(tmp_path / 'ids', 'data/images', images)
    assert files == {'day/000.png': [[0, 0]], 'night/000.png': [[1, 1]], 'a.b.png': [[0, 1]], '001.png': [[1, 0]]}
    assert [item['prediction'] for item in details] == ['day/000.png', 'night/000.png', 'a.b.png', '001.png']


def test_no_prediction_is_overwritten_in_silence(tmp_path):
    with pytest.raises(ValueError, match=r'day/000\.jpg and night/000\.jpg would both be named 000\.png: set image'):
        written(tmp_path / 'ids', None, {'day/000.jpg': [0, 0], 'night/000.jpg': [1, 1]})
    # Each from another process.
    results = []
    for image in ('day/000.jpg', 'night/000.jpg'):
        metric, _ = evaluated([sample([[0, 1]], [[0, 1]], img_path=image)], output_dir=str(tmp_path / 'others'))
        metric.process({}, [sample([[0, 1]], [[0, 1]], img_path=image)])
        results += metric.results
    other = ClassIoUMetric(output_dir=str(tmp_path / 'others'))
    with pytest.raises(ValueError, match='would both be named'):
        other.compute_metrics(results)


def test_ids_of_more_than_8_bits_are_not_written(tmp_path):
    with pytest.raises(ValueError, match='too few for 300 classes'):
        evaluated([sample([[299]], [[299]], img_path='a.png')], tuple(map(str, range(300))), output_dir=str(tmp_path))


def side_by_side():
    """Two test sets. By day a 1/2, b 1/2 of 3 pixels, and c does not occur; at night a 1/1, c 2/3, and b does not."""
    samples = [
        sample([[0, 0, 1]], [[0, 1, 1]], dataset_name='day', condition='fog'),
        sample([[0, 2]], [[0, 2]], dataset_name='night'),
        sample([[2, 1]], [[2, 2]], dataset_name='night'),
    ]
    return evaluated(samples, ('a', 'b', 'c'), {'mIoU_fog': dict(condition='fog'), 'b_and_c': ['b', 'c']})


def test_test_sets_are_reported_side_by_side():
    metric, result = side_by_side()
    day, night = metric.table.datasets['day'], metric.table.datasets['night']
    assert day.iou[:2] == (1 / 2, 1 / 2) and math.isnan(day.iou[2])
    assert (night.iou[0], night.iou[2]) == (1.0, 2 / 3) and math.isnan(night.iou[1])
    # A mean over the test sets that have the class; each counts once, whatever the number of its images.
    assert metric.table.iou == pytest.approx((3 / 4, 1 / 2, 2 / 3))
    means = {'mIoU_day': 50.0, 'mIoU_night': round(500 / 6, 4), 'mIoU': round((50 + 500 / 6) / 2, 4)}
    assert {name: result[name] for name in means} == means
    assert result['mIoU_fog'] == 50.0 and result['b_and_c'] == round(100 * (1 / 2 + 2 / 3) / 2, 4)
    assert result['aAcc'] == round(100 * (2 / 3 + 3 / 4) / 2, 4)
    assert result['mAcc'] == round(100 * ((1 + 1 / 2) / 2 + (1 + 2 / 3) / 2) / 2, 4)
    assert (
        metric.table.to_text()
        == """+----------------+-------+--------+-----------+
| IoU            |   day |  night | mean of 2 |
+----------------+-------+--------+-----------+
| a              | 50.00 | 100.00 |     75.00 |
| b              | 50.00 |      - |     50.00 |
| c              |     - |  66.67 |     66.67 |
+----------------+-------+--------+-----------+
| mean           | 50.00 |  83.33 |     66.67 |
| mIoU_fog       | 50.00 |      - |     50.00 |
| b_and_c        | 50.00 |  66.67 |     58.33 |
| mean recall    | 75.00 |  83.33 |     79.17 |
| pixel accuracy | 66.67 |  75.00 |     70.83 |
+----------------+-------+--------+-----------+
all values in percent; - is what the truth does not contain"""
    )


def test_the_json_of_several_test_sets_has_the_table_of_each(tmp_path):
    metric, result = side_by_side()
    write_scores(tmp_path / 'a.json', [metric], result, images=3)
    content = json.loads((tmp_path / 'a.json').read_text())
    assert content['mIoU_day'] == 50.0 and content['IoU'] == {'a': 75.0, 'b': 50.0, 'c': 66.6667}
    assert content['datasets']['night'] == {
        **{'mIoU': 83.3333, 'mean_recall': 83.3333, 'pixel_accuracy': 75.0, 'absent': ['b']},
        **{'IoU': {'a': 100.0, 'b': None, 'c': 66.6667}, 'b_and_c': 66.6667},
    }
    assert content['datasets']['day']['mIoU_fog'] == 50.0 and content['absent'] == []
    details = json.loads((tmp_path / 'a.details.json').read_text())
    assert details['confusion'] == [[2, 0, 0], [1, 1, 0], [0, 1, 2]] and len(details['images']) == 3


def test_images_of_one_test_set_are_reported_as_ever():
    samples = [sample([[0, 1]], [[0, 0]], dataset_name='day'), sample([[1, 1]], [[1, 1]], dataset_name='day')]
    metric, result = evaluated(samples)
    assert metric.table.datasets == {} and set(result) == {'mIoU', 'mAcc', 'aAcc'}
    assert 'datasets' not in metric.table.to_dict()


def test_a_test_set_without_labels_is_named():
    samples = [sample([[0]], [[0]], dataset_name='day'), sample([[0]], [[255]], dataset_name='night')]
    with pytest.raises(ValueError, match='no pixel of night has a label'):
        evaluated(samples)
