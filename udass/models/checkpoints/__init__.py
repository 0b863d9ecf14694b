"""Weight files: safe reading, strict loading, conversion of published ones."""

from udass.models.checkpoints.conversion import SOURCES, add_fusion, convert, find_layout, to_mmseg, to_reference
from udass.models.checkpoints.loading import StrictPretrained, load_strictly, read_segmentor_weights
from udass.models.checkpoints.reading import local_file, read_checkpoint, read_weights, weights_of
