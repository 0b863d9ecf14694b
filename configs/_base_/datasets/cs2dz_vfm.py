# Cityscapes (by day) -> Dark Zurich (at night) at the sizes of VFM-UDA: as cs2acdc_vfm.py, whose images have the same
# size.
_base_ = ['cs2acdc_vfm.py']

target = dict(type='DarkZurich', data_root='data/dark_zurich')
train_dataloader = dict(target=dict(dataset=target))
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
