# viper2csseq_hrda.py in the protocol of UnifiedVideoDA (Kareer et al. 2024), to compare with its numbers: the pixels of
# Cityscapes' riders are not evaluated, where the older benchmark counts them as persons. The training is the same.
_base_ = ['viper2csseq_hrda.py']

val_dataloader = dict(dataset=dict(benchmark='viper_rider_ignored'))
test_dataloader = val_dataloader
