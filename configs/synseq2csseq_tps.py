# SYNTHIA-Seq -> Cityscapes-Seq with TPS on DeepLabV2 (ResNet-101), two frames at a time.
_base_ = [
    '_base_/default_runtime.py',
    '_base_/datasets/synseq2csseq.py',
    '_base_/models/video_deeplabv2_r101_12.py',
    '_base_/uda/tps.py',
    '_base_/schedules/sgd_40k_video.py',
]
model = dict(student={{_base_.segmentor}})
train_cfg = dict(max_iters={{_base_.max_iters}}, val_interval=4000)
