"""The thing-class feature distance, by hand."""

import pytest
import torch

from udass.uda import FeatureDistance
from udass.uda.feature_distance import class_cells, feature_distance


def test_a_cell_counts_where_one_thing_fills_three_quarters():
    labels = torch.zeros(1, 4, 12, dtype=torch.long)
    labels[:, :3, :4] = 7  # 12 of 16 pixels
    labels[:, :3, 4:8] = 7
    labels[:, 0, 4] = 255  # 11 of 16
    labels[:, :2, 8:] = 7  # half one thing, half another
    labels[:, 2:, 8:] = 11
    cells = class_cells(labels, [7, 11], (1, 3), min_ratio=0.75)
    assert cells.tolist() == [[[True, False, False]]]
    assert not class_cells(labels, [3, 254], (1, 3), min_ratio=0.75).any()


def test_cells_of_features_that_do_not_divide_the_image():
    labels = torch.zeros(1, 30, 40, dtype=torch.long)
    labels[:, 15:] = 1
    cells = class_cells(labels, [1], (8, 10), min_ratio=0.75)
    assert cells.shape == (1, 8, 10) and not cells[:, :4].any() and cells[:, 4:].all()


def test_distance_by_hand():
    anchors = torch.zeros(1, 2, 1, 3)
    features = torch.tensor([[3.0, 6.0, 50.0], [4.0, 8.0, 50.0]]).reshape(1, 2, 1, 3)
    cells = torch.tensor([[[True, True, False]]])
    assert feature_distance(features, anchors, cells).item() == pytest.approx((5 + 10) / 2)


@pytest.mark.parametrize('same', [True, False])
def test_without_things_or_without_a_difference_it_is_zero_with_a_finite_gradient(same):
    anchors = torch.rand(2, 4, 3, 3)
    features = (anchors.clone() if same else torch.rand(2, 4, 3, 3)).requires_grad_()
    cells = torch.full((2, 3, 3), same)
    distance = feature_distance(features, anchors, cells)
    distance.backward()
    assert distance.item() == 0 and (features.grad == 0).all()


def test_thing_classes_come_by_name():
    component = FeatureDistance(weight=0.5)
    labels = torch.full((1, 32, 32), 2)
    features, anchors = torch.full((1, 4, 1, 1), 1.0), torch.zeros(1, 4, 1, 1)
    with pytest.raises(ValueError, match='call use_metainfo'):
        component(features, anchors, labels)
    component.use_metainfo(dict(classes=('sky', 'road', 'car'), thing_classes=['car']))
    assert component(features, anchors, labels).item() == pytest.approx(0.5 * 2)
    component.use_metainfo(dict(classes=('sky', 'car', 'road'), thing_classes=['car']))
    assert component(features, anchors, labels).item() == 0
    with pytest.raises(ValueError, match='has no thing_classes: add them by name'):
        component.use_metainfo(dict(classes=('sky', 'road')))


@pytest.mark.parametrize(
    ('options', 'message'),
    [(dict(weight=-1), 'weight is a factor of the loss'), (dict(min_ratio=0.5), r'min_ratio is a share of pixels')],
)
def test_impossible_numbers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        FeatureDistance(**options)
