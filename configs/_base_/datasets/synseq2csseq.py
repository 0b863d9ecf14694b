# SYNTHIA-Seq -> Cityscapes-Seq, 12 classes of which 11 are reported (mIoU11, without fence), at the sizes of the video
# benchmarks: SYNTHIA-Seq 1280x760 without its lowest 120 rows.
_base_ = ['../pipelines/clips_512.py']

load_source = [*_base_.load_source, dict(scale=(1280, 760), **_base_.resize)]
# The car that carries the camera: as much of the frame as in the benchmark.
cut = dict(type='CutBottomRows', rows=120, height=760)
source_pipeline = [*load_source, _base_.load_flow, cut, dict(type='PackClip')]
long_tail_pipeline = [*load_source, cut, *_base_.crop_long_tail]
target = dict(benchmark='synthia_seq')
train_dataloader = dict(
    # 850 frames; the first one has none before it.
    source=dict(dataset=dict(type='SynthiaSeq', data_root='data/synthia_seq', pipeline=source_pipeline)),
    target=dict(dataset=target),
)
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
