"""Pictures of labels, predictions and training passes. Drawing only."""
from udass.visualization.panels import draw_comparison, draw_training_panel, save_picture

__all__ = ['draw_comparison', 'draw_training_panel', 'save_picture']
