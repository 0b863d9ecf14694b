# adamw_40k.py for a plain ViT of timm under a neck.
_base_ = ['adamw_40k.py']

optim_wrapper = dict(
    paramwise_cfg=dict(
        norm_decay_mult=0.0,
        custom_keys=dict(
            # Starts from nothing, like the decoder that it belongs to.
            neck=dict(lr_mult=10.0),
            # Learned inputs and learned factors of whole blocks (LayerScale), not weights of a sum over many inputs:
            # pulling them to zero only forgets what pretraining found. For ViTs this is common practice.
            pos_embed=dict(decay_mult=0.0),
            cls_token=dict(decay_mult=0.0),
            reg_token=dict(decay_mult=0.0),
            gamma=dict(decay_mult=0.0),
        ),
    )
)
