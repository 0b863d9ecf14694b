# VIPER -> Cityscapes-Seq with MIC on MiT-B5, frame by frame, at the sizes of the image benchmarks. Not a published
# video experiment but the row to compare those with: image methods on such networks were found to be ahead of video
# methods (Kareer et al. 2024, "We're Not Using Videos Effectively").
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/viper2csseq_frames_1024.py',
    '_base_/models/hrda_daformer_mitb5_15.py',
    '_base_/uda/mic.py',
    '_base_/schedules/adamw_40k_mit.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
