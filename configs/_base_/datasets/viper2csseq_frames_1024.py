# viper2csseq.py frame by frame for image methods: full resolution, crops of 1024, as in gta2cs_1024.py.
_base_ = ['../pipelines/frames_1024.py']

source_pipeline = [
    *_base_.load_source,
    dict(type='Resize', scale=(2560, 1440), keep_ratio=True),
    *_base_.crop_source,
]
target = dict(benchmark='viper')
train_dataloader = dict(
    source=dict(dataset=dict(type='Viper', data_root='data/viper', split='train', pipeline=source_pipeline)),
    target=dict(dataset=target),
)
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
