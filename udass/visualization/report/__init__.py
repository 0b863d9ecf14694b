"""Write one HTML page of a run, or of several side by side: curves, metrics, examples, settings."""

from udass.visualization.report.page import render_report
from udass.visualization.report.reading import Method, Run, read_methods
