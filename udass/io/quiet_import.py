"""Import ``mmseg.datasets`` without the lines that it prints, whatever the level of logs, of an optional package.

They are printed while it is imported, by the ``print`` that mmengine's ``print_log`` finds. Another one stands in its
place that long, and nothing keeps it.
"""

import mmengine.logging.logger as source

source.print = lambda message: None
try:
    import mmseg.datasets  # noqa: F401
finally:
    del source.print
