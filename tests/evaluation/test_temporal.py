"""Temporal consistency against numbers computed by hand, and on the exact flow of the built-in clips."""

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.registry import MODELS

from udass.datasets import StreetsClips
from udass.evaluation import ClassIoUMetric, TemporalConsistency
from udass.flow import warp_labels
from udass.streets.writer import write_streets

EXACT = dict(type='FlowCache', estimator=dict(type='PrecomputedFlow', naming='../flow/{current}_{other}.png'))


@MODELS.register_module(force=True)
class UniformFlow:
    """Called as a cache is: the same motion everywhere, negated on the way back in time."""

    def __init__(self, motion):
        self.motion = motion

    def __call__(self, current, other, size):
        sign = 1 if current > other else -1
        return np.full((*size, 2), np.array(self.motion, np.float32) * sign)


def metric(motion=(0, 0), classes='abc'):
    flow = dict(type='UniformFlow', motion=motion)
    made = TemporalConsistency(flow=flow, backward=flow)
    made.dataset_meta = {'classes': classes}
    return made


def frame(number, prediction, truth=None, previous=None, first=False):
    """Sample of frame ``number``; ``truth`` is its label, ``previous`` that of the frame before."""
    prediction = torch.as_tensor(prediction)
    paths = [f'{number:03d}.png', f'{number if first else number - 1:03d}.png']
    sample = dict(ori_shape=prediction.shape, img_path=paths[0], frame_paths=paths)
    sample['pred_sem_seg'] = {'data': prediction[None]}
    if truth is not None or previous is not None:
        labels = [torch.as_tensor([[255]] if label is None else label) for label in (truth, previous)]
        sample['gt_sem_seg'] = {'data': torch.stack([label.expand(prediction.shape) for label in labels])}
    return sample


def evaluated(samples, **options):
    made = metric(**options)
    for sample in samples:
        made.process({}, [sample])
    return made.evaluate(len(samples))


def test_equal_predictions_without_motion_are_consistent():
    prediction = [[0, 1, 1], [2, 2, 0]]
    result = evaluated([frame(0, prediction, first=True), frame(1, prediction), frame(2, prediction)])
    assert result == {'TC': 100.0, 'TC_pixels': 100.0, 'TC_compared': 100.0}


def test_flicker_computed_by_hand():
    # Pair 1: a 2 of 2 + 3, b 0 of 1 + 0, c 3 of 3 + 3. Pair 2: a 2 of 3 + 2, b 0 of 0 + 1, c 3.
    steady, flicker = [[0, 0, 0], [2, 2, 2]], [[0, 1, 0], [2, 2, 2]]
    result = evaluated([frame(0, steady, first=True), frame(1, flicker), frame(2, steady)])
    assert result == {'TC': round(100 * (4 / 6 + 0 + 1) / 3, 4), 'TC_pixels': round(1000 / 12, 4), 'TC_compared': 100.0}
    # A class that neither has does not count.
    result = evaluated([frame(0, steady, first=True), frame(1, flicker)], classes='abcd')
    assert result['TC'] == round(100 * (2 / 3 + 0 + 1) / 3, 4)


def test_what_moves_as_the_flow_says_is_consistent():
    """Everything moves one pixel to the right: what enters at the left was not there before, and does not count."""
    before, after = [[0, 1, 2, 2], [1, 1, 0, 2]], [[2, 0, 1, 2], [0, 1, 1, 0]]
    result = evaluated([frame(0, before, first=True), frame(1, after)], motion=(-1, 0))
    assert result == {'TC': 100.0, 'TC_pixels': 100.0, 'TC_compared': 75.0}
    # Without it the same predictions flicker: 2 of 8 pixels stay.
    still = evaluated([frame(0, before, first=True), frame(1, after)])
    assert (still['TC_pixels'], still['TC_compared']) == (25.0, 100.0) and still['TC'] < 30
    # The other direction is wrong, too.
    assert evaluated([frame(0, before, first=True), frame(1, after)], motion=(1, 0))['TC_pixels'] < 100


def test_pixels_whose_way_back_leads_elsewhere_do_not_count():
    """A strip of two columns stays behind while the flow back says that it is hidden."""

    @MODELS.register_module(force=True)
    class HiddenStrip:
        def __call__(self, current, other, size):
            flow = np.zeros((*size, 2), np.float32)
            flow[:, :2, 0] = 3
            return flow

    made = TemporalConsistency(flow=dict(type='UniformFlow', motion=(0, 0)), backward=dict(type='HiddenStrip'))
    made.dataset_meta = {'classes': 'ab'}
    made.process({}, [frame(0, [[0, 0, 1, 1]], first=True), frame(1, [[1, 1, 1, 0]])])
    # Two of four columns count; of them one is equal.
    assert made.evaluate(2) == {'TC': 25.0, 'TC_pixels': 50.0, 'TC_compared': 50.0}


def test_against_the_warped_truth():
    truth = [[0, 0, 1, 255]]
    first = frame(0, [[0, 0, 1, 1]], truth=truth, first=True)
    result = evaluated([first, frame(1, [[0, 1, 1, 1]], truth=[[0, 1, 1, 1]], previous=truth)])
    # Of three labelled pixels: a 1 of 2, b 1 of 2. The prediction before was right, so TC has the same and column 3.
    assert result['TC_truth'] == 50.0
    assert result['TC'] == round(100 * (1 / 2 + 2 / 3) / 2, 4)
    # The label moves, too: the truth (0, 0, 1, 255), one to the right, is (?, 0, 0, 1).
    moved = evaluated([frame(1, [[2, 0, 0, 1]], previous=truth)], motion=(-1, 0))
    assert moved == {'TC_compared': 75.0, 'TC_truth': 100.0}
    # Classes that the warped truth lacks do not count.
    assert evaluated([frame(1, [[0, 2]], previous=[[0, 0]])])['TC_truth'] == 50.0


def test_nothing_to_compare_is_left_out():
    assert evaluated([frame(0, [[0, 1]], first=True)]) == {}
    assert evaluated([frame(0, [[0, 1]], truth=[[0, 1]], previous=[[0, 1]], first=True)]) == {}
    # Everything leaves the image.
    assert evaluated([frame(0, [[0, 1]], first=True), frame(1, [[0, 1]])], motion=(-5, 0)) == {'TC_compared': 0.0}


@pytest.fixture
def log(caplog):
    """Messages of mmengine's logger, which it does not hand on."""
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


def test_frames_whose_predecessor_was_not_tested_are_counted_and_told(log):
    """As with a shuffled test set, or several processes."""
    made = metric()
    made.process({}, [frame(number, [[0, 1]]) for number in (4, 2, 3, 7)])
    assert made.evaluate(4) == {'TC': 100.0, 'TC_pixels': 100.0, 'TC_compared': 100.0}
    assert '3 of 4 frames were not compared' in log.text


def test_frames_without_label_before_labelled_ones_are_no_gap(log):
    """Snippets with one label: t-1 is tested for the sake of t."""
    unlabelled = [[255, 255]]
    made = metric()
    for first in (10, 20):
        made.process({}, [frame(first, [[0, 1]], truth=unlabelled), frame(first + 1, [[0, 0]], truth=[[0, 0]])])
    assert made.evaluate(4) == {'TC': 25.0, 'TC_pixels': 50.0, 'TC_compared': 100.0}
    assert 'not compared' not in log.text


def test_a_second_test_starts_anew():
    made = metric()
    made.process({}, [frame(0, [[0, 1]], first=True)])
    made.evaluate(1)
    made.process({}, [frame(1, [[1, 0]])])
    assert made.evaluate(1) == {}


def test_predictions_are_compared_at_the_size_of_the_truth():
    samples = [frame(0, [[0, 1]], first=True), frame(1, [[0, 1]])]
    for sample in samples:
        sample.update(ori_shape=(2, 4), seg_logits={'data': torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]]])})
    assert evaluated(samples) == {'TC': 100.0, 'TC_pixels': 100.0, 'TC_compared': 100.0}


def test_single_images_are_refused():
    sample = frame(1, [[0]])
    del sample['frame_paths']
    with pytest.raises(ValueError, match=r'needs clips, but 001\.png comes from a data set of single images'):
        metric().process({}, [sample])


def test_estimated_flow_needs_its_way_back():
    made = TemporalConsistency(flow=dict(type='FlowCache', estimator=dict(type='DISFlow')))
    with pytest.raises(
        ValueError, match='DISFlow does not say which pixels are visible in the other frame; compute the'
    ):
        made.flow.visible('a.png', 'b.png', (8, 8))


@pytest.fixture(scope='module')
def clips(tmp_path_factory):
    root = tmp_path_factory.mktemp('streets')
    options = dict(counts=dict(game=dict(train=0)), clip_counts=dict(camera=dict(val=2)), workers=1)
    write_streets(root, size=(96, 192), **options)
    pipeline = [dict(type='LoadClip'), dict(type='LoadClipLabels'), dict(type='PackClip')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        return StreetsClips(data_root=str(root), domain='camera', split='val', test_mode=True, pipeline=pipeline)


def samples_of(clips, prediction_of):
    for index in range(len(clips)):
        sample = clips[index]['data_samples']
        sample.pred_sem_seg = PixelData(data=prediction_of(sample))
        yield sample.to_dict()


def test_the_truth_of_streets_is_consistent_along_the_exact_flow(clips):
    """Measured: warped by the exact flow, 99.8 % of the labels agree where they are seen."""
    made = TemporalConsistency(flow=EXACT)
    made.dataset_meta = clips.metainfo
    samples = list(samples_of(clips, lambda sample: sample.gt_sem_seg.data[:1]))
    made.process({}, samples)
    result = made.evaluate(len(samples))
    assert result['TC_pixels'] > 99 and result['TC'] > 90
    # The prediction is the truth.
    assert result['TC_truth'] == pytest.approx(result['TC'], abs=1)
    assert 50 < result['TC_compared'] < 100


def test_a_prediction_that_follows_the_flow_is_fully_consistent(clips):
    """Each frame's prediction is the one before, warped; and it stands beside the metric of the IoU."""
    cache = MODELS.build(EXACT)
    last = {}

    def follow(sample):
        current, previous = sample.frame_paths
        prediction = sample.gt_sem_seg.data[:1]
        if previous in last:
            flow = torch.from_numpy(cache(current, previous)).permute(2, 0, 1)[None]
            prediction = warp_labels(last[previous], flow, ignore=0)
        last[current] = prediction
        return prediction

    samples = list(samples_of(clips, follow))
    for made in (ClassIoUMetric(), TemporalConsistency(flow=EXACT)):
        made.dataset_meta = clips.metainfo
        made.process({}, samples)
        result = made.evaluate(len(samples))
    assert (result['TC'], result['TC_pixels']) == (100.0, 100.0)
