# default_runtime.py for runs of minutes: save and draw often.
_base_ = ['default_runtime.py']

default_hooks = dict(checkpoint=dict(interval=100))
custom_hooks = [dict(type='PanelHook', interval=100)]
