"""What every run shares: the runner, hooks, logging and randomness."""

from importlib.util import find_spec

default_scope = 'mmseg'
runner_type = 'UDARunner'
custom_imports = dict(imports=['udass.all_modules'])

env_cfg = dict(
    # Crops have one size per loader, so that cuDNN's search for the fastest algorithm pays.
    cudnn_benchmark=True,
    # OpenMP threads of OpenCV inside forked loader workers only compete with each other.
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    # Seconds that a process waits for the others. NCCL on GPUs and gloo on CPUs is chosen by the runner.
    dist_cfg=dict(timeout=1800),
)

randomness = dict(seed=0)

default_hooks = dict(
    # Reads losses from the device at LoggerHook's interval only.
    runtime_info=dict(type='ScalarLogHook'),
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Two files: the one being resumed from stays until its successor is complete; one more in case of a bad disk.
    checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=2000, max_keep_ckpts=2),
    # A loss or gradient that is not finite never reaches the weights; it is reported at LoggerHook's interval. 0: the
    # first one stops the training (after saving), because something is wrong; n: up to n such iterations are left out.
    finite_loss=dict(type='FiniteLossHook', max_skipped=0),
    # 0: the first file that cannot be decoded stops the training (after saving); n: up to n files are left out.
    damaged_files=dict(type='DamagedFileHook', max_files=0),
    # How sure and steady the pseudo-labels are, and how right where the target has labels, which no training reads.
    pseudo_labels=dict(type='PseudoLabelHook'),
    # The samplers of UDATrainLoop have no epochs.
    sampler_seed=None,
)
custom_hooks = [dict(type='PanelHook', interval=500)]

# ScalarLogHook hands over means of an interval, so that only times need a moving window.
log_processor = dict(by_epoch=False, window_size=50, mean_pattern=r'.*(time|data_time)$')
log_level = 'INFO'

visualizer = dict(
    type='SegLocalVisualizer',
    vis_backends=[dict(type='LocalVisBackend')]
    + ([dict(type='TensorboardVisBackend')] if find_spec('tensorboard') else []),
)

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

load_from = None
resume = False
