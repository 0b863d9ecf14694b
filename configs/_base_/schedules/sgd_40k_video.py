# The schedule of the video networks with a ResNet: SGD, and a decay that ends long after the training does.
max_iters = 40000
optim_wrapper = dict(
    type='OptimWrapper',
    # VIPER's adaptation methods have another rate.
    optimizer=dict(type='SGD', lr=2.5e-4, momentum=0.9, weight_decay=5e-4),
    # The classifiers and what joins their logits start from nothing, the backbone from pretrained weights.
    paramwise_cfg=dict(
        custom_keys=dict(
            # As published, the rate of the classifiers never decays (the published loop sets the first two of its three
            # groups, backbone and fusion).
            decode_head=dict(lr_mult=10.0, constant_lr=True),
            auxiliary_head=dict(lr_mult=10.0, constant_lr=True),
            fusion=dict(lr_mult=10.0),
        )
    ),
)
# A horizon of 250,000 iterations, as in the reference, of which 40,000 are trained: the rate falls to 0.855 of its
# start. One step more, as mmengine reaches the last value at step end - 1.
param_scheduler = [dict(type='GroupPolyLR', power=0.9, eta_min=0.0, by_epoch=False, begin=0, end=250001)]
