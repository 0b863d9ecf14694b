# VIPER -> Cityscapes-Seq, 15 classes, at the sizes of the video benchmarks: VIPER 1280x720.
_base_ = ['../pipelines/clips_512.py']

# The car that carries the camera is ignored.
load_source = [*_base_.load_source, dict(scale=(1280, 720), **_base_.resize)]
source_pipeline = [*load_source, _base_.load_flow, dict(type='PackClip')]
long_tail_pipeline = load_source + _base_.crop_long_tail
target = dict(benchmark='viper')
train_dataloader = dict(
    # Every 10th frame and the one before it: 13,367 clips.
    source=dict(dataset=dict(type='Viper', data_root='data/viper', split='train', pipeline=source_pipeline)),
    target=dict(dataset=target),
)
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
