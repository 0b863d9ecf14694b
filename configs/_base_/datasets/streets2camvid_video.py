# Synthetic to real, on video: from clips of the built-in streets (game, 150 labelled clips of 4 frames in CamVid's size
# and classes) to CamVid's video (101 frames of 0016E5 at 15 Hz), whose labels are read for the test only. The clips:
#     udass streets --root data/streets_camvid --size 360 480 --counts game/train=600 --clips game/train=150
# The flow of both domains is computed in the same way; `udass flow CONFIG` stores it before training.
_base_ = ['camvid_video.py']
streets = dict(type='StreetsCamVidClips', data_root='data/streets_camvid', domain='game', split='train')
train_dataloader = dict(source=dict(dataset=dict(_delete_=True, **streets, pipeline={{_base_.source_pipeline}})))
