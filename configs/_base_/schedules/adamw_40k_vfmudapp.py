# The schedule of VFM-UDA++: that of VFM-UDA with a rate of its own for each block of the ViT.
_base_ = ['adamw_40k_vfmuda.py']

# The adapter, the pyramid head and the head of the distillation start from nothing and have the full rate.
optim_wrapper = dict(
    constructor='LayerDecayConstructor', paramwise_cfg=dict(_delete_=True, lr_mult=0.1, decay_rate=0.9)
)
