# What the loaders of all benchmarks share: two images of each domain per step, one when testing.
train_dataloader = dict(
    source=dict(batch_size=2, num_workers=4), target=dict(batch_size=2, num_workers=4, dataset=dict(labelled=False))
)
val_dataloader = dict(
    # The logits of one 2048x1024 image take what a batch of crops takes.
    batch_size=1,
    num_workers=4,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(test_mode=True),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassIoUMetric')
test_evaluator = val_evaluator
