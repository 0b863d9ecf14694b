"""Learning-rate schedules that mmengine does not have."""

from mmengine.optim import PolyLR
from mmseg.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class GroupPolyLR(PolyLR):
    """mmengine's ``PolyLR``, which leaves parameter groups with ``constant_lr=True`` at their rate.

    A group gets the entry from ``optim_wrapper.paramwise_cfg.custom_keys``. Arguments as of ``PolyLR``.

    Source: ``adjust_learning_rate`` of AdaptSegNet and ADVENT (advent/utils/func.py), which sets the rates of the first
    two groups of an optimizer only.
    """

    def _get_value(self) -> list[float]:
        return [
            group[self.param_name] if group.get('constant_lr', False) else value
            for group, value in zip(self.optimizer.param_groups, super()._get_value(), strict=True)
        ]
