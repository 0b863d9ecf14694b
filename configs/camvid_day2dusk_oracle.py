# The ceiling: the same network trained on the labels of the target's training images.
_base_ = './camvid_day2dusk_source_only.py'
train_dataloader = dict(source=dict(dataset=dict(sequence='0001TP', exclude_sequence=None)))
