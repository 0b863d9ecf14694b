_base_ = [
    '_base_/small_runtime.py',
    '_base_/datasets/streets_game2camera.py',
    '_base_/models/small_resnet10t.py',
    '_base_/uda/quadmix_small.py',
    '_base_/schedules/small_scratch.py',
]
model = dict(
    student={{_base_.segmentor}},
    # A network from scratch has no ImageNet features to stay near to.
    feature_distance=None,
    # A fourth pass would take a third more time, and the demo is to take minutes.
    masking=None,
)
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval={{_base_.max_iters}})
