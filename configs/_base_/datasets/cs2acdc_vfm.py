# Cityscapes (clear, by day) -> ACDC (fog, night, rain, snow) at the sizes of VFM-UDA.
_base_ = ['../pipelines/images_vfm.py']

# 3 % of the height at the top and of the width at the sides, a quarter of the height at the bottom (VFM-UDA).
margins = dict(size=(1920, 1080), top=32, bottom=270, left=57, right=57)
target = dict(type='ACDC', data_root='data/acdc')
train_dataloader = dict(
    source=dict(dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='train')),
    target=dict(dataset=dict(**target, split='train', metainfo=dict(pseudo_margins=margins))),
)
val_dataloader = dict(dataset=dict(**target, split='val'))
# The published numbers are those of the test split, whose labels the server keeps: udass test --submission.
test_dataloader = val_dataloader
