"""Draw labels, predictions, training passes and reports."""

from udass.visualization.canvas import overlay_labels, save_image
from udass.visualization.overlays import draw_legend, draw_overlay
from udass.visualization.panels import draw_comparison, draw_training_panel
