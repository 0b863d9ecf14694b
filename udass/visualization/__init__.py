"""Pictures of labels, predictions and training passes. Drawing only."""

from udass.visualization.canvas import overlay_labels
from udass.visualization.overlays import draw_legend, draw_overlay
from udass.visualization.panels import draw_comparison, draw_training_panel, save_image

__all__ = [
    'draw_comparison',
    'draw_legend',
    'draw_overlay',
    'draw_training_panel',
    'overlay_labels',
    'save_image',
]
