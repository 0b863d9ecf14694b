"""Import what mmengine and mmseg import at their start, without what no command of this project needs.

``mmseg.datasets`` prints lines about an optional package, whatever the level of logs, by the ``print`` that mmengine's
``print_log`` finds. ``mmengine.optim`` imports transformers, which peft installs, to register one optimizer, and this
takes more than a second of every start. Both are replaced during the import only. A config may still name the optimizer
by its path, ``transformers.Adafactor``.
"""

import sys

import mmengine.logging.logger as source

_hidden = 'transformers' not in sys.modules
if _hidden:
    # Importing it fails, as where it is not installed.
    sys.modules['transformers'] = None
source.print = lambda message: None
try:
    import mmengine.optim  # noqa: F401
    import mmseg.datasets  # noqa: F401
finally:
    del source.print
    if _hidden:
        del sys.modules['transformers']
