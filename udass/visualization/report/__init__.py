"""One HTML page of a run, or of several side by side: what it learned, how well, from what, and with which settings.

The page is one file that opens without a network. ``tools/report.py`` writes it.
"""

from udass.visualization.report.page import render_report
from udass.visualization.report.reading import Method, Run, read_methods

__all__ = ['Method', 'Run', 'read_methods', 'render_report']
