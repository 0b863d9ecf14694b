"""ClassMix across domains: half of a source image's classes over a target image.

Source: Olsson et al. 2021 (ClassMix), Tranheden et al. 2021 (DACS).
"""

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from udass.uda.clip import Clip, paste
from udass.uda.mixing.classes import choose_classes, class_mask, half_of, present_classes
from udass.uda.mixing.long_tail import LongTail
from udass.uda.passes import Pass


def classmix(source: Clip, target: Clip, chosen: Tensor, same_mask: bool = False) -> Clip:
    """Paste the chosen classes (N, C) bool of the source onto the target, see `ClassMix` for ``same_mask``."""
    mask = class_mask(source.labels[:, :1] if same_mask else source.labels, chosen)
    return paste(mask.expand_as(source.labels), source, target)


@MODELS.register_module()
class ClassMix(nn.Module):
    """One mixed pass: for each image, half of the source classes (rounded up) over the target.

    Args:
        name: name of the pass in the log.
        same_mask: of clips, cut frame t's mask out of all frames and the flow ("consistent mix-up" of UnifiedVideoDA,
            Kareer et al. 2024); False cuts the classes out of each frame by its own labels.

    Attributes:
        number_of_mixes: mixed images per target image that take a long-tail paste: none.
    """

    number_of_mixes = 0

    def __init__(self, name: str = 'mix', same_mask: bool = False) -> None:
        super().__init__()
        self.name = name
        self.same_mask = same_mask

    def forward(
        self,
        source: Clip,
        target: Clip,
        num_classes: int,
        iteration: int,
        generator: torch.Generator,
        long_tail: LongTail | None = None,
        template: Clip | None = None,
    ) -> list[Pass]:
        """Draw the classes and mix. The source is fitted to the target's batch and size (see `Clip.fit`)."""
        source = source.fit(len(target), target.size)
        chosen = self.draw_classes(source, num_classes, generator)
        return [Pass(self.name, classmix(source, target, chosen, self.same_mask))]

    def draw_classes(self, source: Clip, num_classes: int, generator: torch.Generator) -> Tensor:
        """Half of the classes of each source image, (N, C) bool."""
        present = present_classes(source.labels[:, :1], num_classes)
        return choose_classes(present, half_of(present), generator)
