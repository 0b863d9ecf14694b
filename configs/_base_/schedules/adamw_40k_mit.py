# adamw_40k.py for a Mix Transformer: its norms do not decay.
_base_ = ['adamw_40k.py']

# By kind of layer, not by name: mmseg calls the norms at the end of the stages `layers.0.2` to `layers.3.2`. The batch
# norms of the decoder fall under decode_head (a name goes before a kind) and decay, as in the reference.
# The reference also names position blocks (`pos_block`). A MiT has none: its positions come from the depth-wise
# convolutions of the feed-forward layers, which decay there, too.
optim_wrapper = dict(paramwise_cfg=dict(norm_decay_mult=0.0))
