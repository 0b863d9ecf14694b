_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/streets_game2camera.py',
    '_base_/models/small_segformer_mitb0.py',
    '_base_/uda/source_only.py',
    '_base_/schedules/small.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters=400, val_interval=400)
