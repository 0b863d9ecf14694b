# Synthetic to real: from the built-in streets (game, 600 labelled images in CamVid's size and classes) to CamVid's 367
# training images, whose labels are never read; tested on CamVid's 233 test images. Both have to be there:
#     udass streets --root data/streets_camvid --size 360 480 --counts game/train=600
# and CamVid as docs/small_benchmarks.md says; UDASS_CAMVID names its folder where it is not data/camvid.
_base_ = ['camvid_day2dusk.py']
streets = dict(type='StreetsCamVidDataset', data_root='data/streets_camvid', domain='game', split='train')
train_dataloader = dict(
    source=dict(dataset=dict(_delete_=True, **streets, pipeline={{_base_.source_pipeline}})),
    target=dict(dataset=dict(sequence=None, labelled=False)),
)
val_dataloader = dict(dataset=dict(sequence=None))
test_dataloader = val_dataloader
