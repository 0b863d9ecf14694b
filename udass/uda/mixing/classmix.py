"""ClassMix across domains: half of a source image's classes over a target image.

Source: Olsson et al. 2021 (ClassMix), Tranheden et al. 2021 (DACS).
"""

from mmseg.registry import MODELS
from torch import Generator, Tensor

from udass.uda.clip import Clip, Pass, paste
from udass.uda.mixing.base import Mixing
from udass.uda.mixing.classes import choose_classes, class_mask, half_of, present_classes
from udass.uda.mixing.long_tail import LongTail


def classmix(source: Clip, target: Clip, chosen: Tensor, same_mask: bool = False) -> Clip:
    """Paste the chosen classes (N, C) bool of the source onto the target; see `ClassMix` for ``same_mask``."""
    mask = class_mask(source.labels[:, :1] if same_mask else source.labels, chosen)
    return paste(mask.expand_as(source.labels), source, target)


@MODELS.register_module()
class ClassMix(Mixing):
    """One mixed pass: for each image, half of the source classes (rounded up) over the target.

    Args:
        name: name of the pass in the log.
        same_mask: for clips, use the mask of frame t in all frames ("consistent mix-up" of UnifiedVideoDA, Kareer et
            al. 2024); False cuts the classes out of each frame by its own labels.
    """

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
        generator: Generator,
        long_tail: LongTail | None = None,
        template: Clip | None = None,
    ) -> list[Pass]:
        """Draw the classes and mix; see `Mixing`."""
        source = source.match_shape(len(target), target.size)
        chosen = self.draw_classes(source, num_classes, generator)
        return [Pass(self.name, classmix(source, target, chosen, self.same_mask))]

    def draw_classes(self, source: Clip, num_classes: int, generator: Generator) -> Tensor:
        """Half of the classes of each source image, (N, C) bool."""
        present = present_classes(source.labels[:, :1], num_classes)
        return choose_classes(present, half_of(present), generator)
