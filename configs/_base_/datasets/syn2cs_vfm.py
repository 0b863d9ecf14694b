# SYNTHIA -> Cityscapes at the sizes of VFM-UDA.
_base_ = ['../pipelines/images_vfm.py', 'synthia_protocols.py']

# 3 % of the height at the top and of the width at the sides, a quarter of the height at the bottom (VFM-UDA).
margins = dict(size=(2048, 1024), top=30, bottom=256, left=61, right=61)
train_dataloader = dict(
    source=dict(dataset=dict(type='Synthia', data_root='data/synthia')),
    target=dict(
        dataset=dict(
            type='Cityscapes', data_root='data/cityscapes', split='train', metainfo=dict(pseudo_margins=margins)
        )
    ),
)
val_dataloader = dict(
    dataset=dict(type='Cityscapes', data_root='data/cityscapes', split='val', metainfo=dict(protocols=_base_.protocols))
)
test_dataloader = val_dataloader
