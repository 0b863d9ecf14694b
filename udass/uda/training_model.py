"""The base class of models that are trained: what the training loop, the runner and the hooks use of them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mmengine.model import BaseModel
from torch import Tensor, nn

from udass.uda.clip import Clip
from udass.uda.networks import load_networks, unwrap


class TrainingModel(BaseModel):
    """A model of several networks with a ``train_step`` of its own, for `udass.engine.UDATrainLoop`.

    A subclass has the networks ``student`` and ``teacher`` (None if the method has none) and overrides what differs
    from the defaults below.
    """

    student: nn.Module
    teacher: nn.Module | None
    eval_branch = 'student'
    """The network that validates and tests, ``student`` or ``teacher``."""
    needs_target = False
    """Whether the training step uses target images."""
    long_tail_start = 0
    """First iteration whose data has a ``long_tail`` batch."""
    leaves_parameters_out = False
    """Whether some pass leaves parameters of the student without gradient."""
    hooks_decoders = False
    """Whether the training step puts hooks into decoders, which compiled code does not call."""
    pass_hooks: list[Callable[[str, Clip], None]]
    """Called with the name and the clip of each pass of a step, and with ``target``, before the pass is made."""

    def __new__(cls, *args: object, **kwargs: object) -> 'TrainingModel':
        # mmseg.apis.init_model adds these two to the arguments of any model.
        if {'pretrained', 'train_cfg'} <= set(kwargs):
            raise ValueError(
                f'mmseg.apis.init_model takes bare segmentors, and {cls.__name__} holds those of a '
                'training: use udass.inference.Segmenter(CHECKPOINT), or give init_model the config that '
                'udass.inference.config_for_mmseg makes and the file that tools/convert_checkpoint.py '
                'writes'
            )
        return super().__new__(cls)

    def __init__(self) -> None:
        super().__init__()
        self.pass_hooks = []

    def call_pass_hooks(self, name: str, clip: Clip) -> None:
        """Call the hooks; a training step does so for each of its passes."""
        for hook in self.pass_hooks:
            hook(name, clip)

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Take what the source data set says of its classes. The loop calls this once, before the training."""

    def start_ranks(self) -> None:
        """Go on with another number of processes than the checkpoint was written with."""

    def load_networks(self, weights: Mapping[str, Tensor], origin: str | Path, skip: Sequence[str] = ()) -> list[str]:
        """Start from the networks of a checkpoint.

        Args:
            weights: state dict of a training of any method, or of one segmentor.
            origin: where it comes from, for messages.
            skip: modules or tensors of each network that keep their start weights.

        Returns:
            Names of the networks that the state dict has.
        """
        return load_networks(dict(student=unwrap(self.student), teacher=self.teacher), weights, origin, skip)
