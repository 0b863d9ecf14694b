# sgd_40k.py for the student, and the optimizer of AdvSeg's discriminator beside it.
_base_ = ['sgd_40k.py']

optim_wrapper = dict(
    _delete_=True,
    constructor='ChildOptimWrapperConstructor',
    student={{_base_.optim_wrapper}},
    adaptation_loss=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.99))),
)
param_scheduler = dict(
    _delete_=True,
    student={{_base_.param_scheduler}},
    # Without warm-up. 40,000 iterations and one step, see sgd_40k.py.
    adaptation_loss=[dict(type='PolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=40001)],
)
