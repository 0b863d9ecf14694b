# VIPER -> BDDVid with HRDA on MiT-B5, frame by frame (UnifiedVideoDA, Kareer et al. 2024).
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2bdd_frames_720.py',
    '_base_/models/hrda_daformer_mitb5_15.py',
    '_base_/uda/hrda.py',
    '_base_/schedules/adamw_40k_mit.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
