# The ceiling: the same network trained on the labels of the target's training clips.
_base_ = './streets_video_source_only.py'
train_dataloader = dict(source=dict(dataset=dict(domain='camera')))
