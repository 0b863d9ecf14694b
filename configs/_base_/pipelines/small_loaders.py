# loaders.py for small images, which the training process reads itself.
_base_ = ['loaders.py']
train_dataloader = dict(source=dict(num_workers=0), target=dict(num_workers=0))
val_dataloader = dict(num_workers=0)
test_dataloader = val_dataloader
