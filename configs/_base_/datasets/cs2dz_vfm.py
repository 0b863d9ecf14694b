# Cityscapes (by day) -> Dark Zurich (tested at night) at the sizes of VFM-UDA: as cs2acdc_vfm.py, whose images have the
# same size.
_base_ = ['cs2acdc_vfm.py']

target = dict(type='DarkZurich', data_root='data/dark_zurich')
# All training images, by day, at twilight and at night.
train_dataloader = dict(target=dict(dataset=dict(**target, image_folder='rgb_anon/train')))
val_dataloader = dict(dataset=target)
test_dataloader = val_dataloader
