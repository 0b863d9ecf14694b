"""The interface of mixing components."""

from collections.abc import Mapping

from torch import Generator, nn

from udass.uda.clip import Clip, Pass
from udass.uda.mixing.long_tail import LongTail


class Mixing(nn.Module):
    """Makes mixed passes of source and target; a subclass overrides ``forward`` and what differs from the defaults.

    Attributes:
        number_of_mixes: mixed images per target image that take a long-tail paste.
        start_iter: first iteration that may take a long-tail paste.
        shares_pasted: whether its passes have ``pasted`` masks, so that `FeatureMixing` can mix their features.
    """

    number_of_mixes = 0
    start_iter = 0
    shares_pasted = False

    def forward(
        self,
        source: Clip,
        target: Clip,
        num_classes: int,
        iteration: int,
        generator: Generator,
        long_tail: LongTail | None = None,
        template: Clip | None = None,
    ) -> list[Pass]:
        """Mix the clips of one iteration.

        Args:
            source, target: clips with (pseudo-)labels, which may differ in batch and size.
            num_classes: C.
            iteration: counted from 0.
            generator: CPU generator of all draws.
            long_tail: images to paste objects of rare classes from.
            template: the target that later iterations mix, in place of ``target`` (without augmentation).
        """
        raise NotImplementedError

    def use_metainfo(self, metainfo: Mapping) -> None:
        """Read the metainfo of the source data set; called once before the training."""

    def clear_templates(self) -> None:
        """Forget the clips of earlier iterations."""
