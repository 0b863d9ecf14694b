"""Pictures of labels, predictions and training passes. Drawing only."""
from udass.visualization.overlays import SideBySide, VideoFile, draw_overlay
from udass.visualization.panels import draw_comparison, draw_training_panel, save_picture

__all__ = ['SideBySide', 'VideoFile', 'draw_comparison', 'draw_overlay', 'draw_training_panel', 'save_picture']
