# QuadMix with all its passes on MiT-B0: small enough to measure a step on a CPU
# (tools/benchmark.py, docs/performance.md).
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/streets_game2camera.py',
    '_base_/models/segformer_mitb0.py',
    '_base_/uda/quadmix.py',
    '_base_/schedules/adamw_40k_mit.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(
    max_iters={{_base_.max_iters}},
    val_interval=4000,
    # The thresholds of rare-class sampling were made for GTA's 1914x1052 images; these are smaller.
    source_sampling=dict(reference_size=(1914, 1052), crop_fraction=0.5),
)
