"""Test-time augmentation."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import DATASETS
from mmseg.structures import SegDataSample
from torch import nn

from tests.cli.calls import parse
from udass.cli import test as test_command
from udass.engine.config import load_config
from udass.inference.tta import MeanOfViews, add_views


class Module(nn.Module):
    def test_step(self, data):
        return data


def sample(*logits):
    data = torch.tensor(logits).view(-1, 1, 1)
    return SegDataSample(seg_logits=PixelData(data=data), pred_sem_seg=PixelData(data=data.argmax(0, keepdim=True)))


def test_probabilities_and_not_logits_are_averaged():
    views = [sample(3.0, 0.0, 0.0), sample(0.0, 9.0, 0.0)]
    (merged,) = MeanOfViews(Module()).merge_preds([views])
    first, second = np.exp(3) / (np.exp(3) + 2), 1 / (np.exp(9) + 2)
    assert merged.seg_logits.data[0].item() == pytest.approx((first + second) / 2, abs=1e-6)
    assert merged.pred_sem_seg.data.tolist() == [[[1]]]
    with pytest.raises(ValueError, match='single one per pixel'):
        MeanOfViews(Module()).merge_preds([[sample(1.0)]])


def test_each_image_comes_at_each_size_and_mirrored(streets):
    options = {'test_dataloader.dataset.data_root': str(streets)}
    dataset = load_config('streets_quadmix', options).test_dataloader.dataset
    init_default_scope('mmseg')
    sample = DATASETS.build(add_views(dataset, [1.0, 0.5]))[0]
    inputs, labels = sample['inputs'], [one.gt_sem_seg.data for one in sample['data_samples']]
    assert [one.shape[-1] for one in inputs] == [256, 256, 128, 128]
    assert torch.equal(inputs[1], inputs[0].flip(-1)) and not torch.equal(inputs[1], inputs[0])
    # Predictions are mirrored back and enlarged to the labels.
    assert all(torch.equal(one, labels[0]) for one in labels)


def test_clips_and_sizes_of_nothing_are_refused():
    with pytest.raises(ValueError, match='relative to that of the config, such as 0.75, got -1'):
        add_views(load_config('streets_quadmix').test_dataloader.dataset, [1.0, -1.0])
    with pytest.raises(ValueError, match='tests on clips'):
        add_views(load_config('streets_video_quadmix').test_dataloader.dataset, [1.0])


def test_the_command_scores_the_mean_of_the_views(image_run, tmp_path):
    config, checkpoint = image_run
    scores = {
        name: test_command.test(config, checkpoint, work_dir=tmp_path / name, tta=tta)
        for name, tta in (('alone', None), ('views', []), ('sizes', [1, 1.5]))
    }
    assert {len(values['IoU']) for values in scores.values()} == {19}
    # The same labels, other predictions.
    assert scores['alone']['pixel_accuracy'] != scores['views']['pixel_accuracy'] != scores['sizes']['pixel_accuracy']
    assert [parse('test', 'c.py', 'a.pth', *words).tta for words in ((), ('--tta', 1, 0.5))] == [None, [1, 0.5]]
