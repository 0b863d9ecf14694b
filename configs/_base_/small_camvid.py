# What the runs on CamVid share: runtime, network and schedule, and the settings that follow from small images and short
# runs. All methods take them from here, so that they are compared under the same conditions.
_base_ = ['small_runtime.py', 'models/small_effnet_lite0.py', 'schedules/small_finetune.py']

# On a CPU, depthwise convolutions are a fifth faster so.
channels_last = True
# Of the two rates that were tried, the one at which most methods learn more (docs/small_benchmarks.md).
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))))

# The published 0.999 averages over a fortieth of 40,000 iterations; this over about as large a part of these runs.
short_ema = dict(alpha=0.95)
# ClassMix for the first half. The published 6000 of 40,000 are 15 %; later was better here (docs/small_benchmarks.md).
small_mixing = dict(start_iter=300)
# A sixteenth of the crop's height, as the published 64 of 1024.
small_masking = dict(block_size=15)
# The published thresholds are made for GTA's images of 1914x1052 and are scaled to the area of these. As in DAFormer,
# images are shrunk before they are cropped, so that half of the threshold is left for the crop.
small_sampling = dict(crop_fraction=0.5, reference_size=(1914, 1052))
