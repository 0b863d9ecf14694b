"""``python tools/export.py`` is ``udass export``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['export', *sys.argv[1:]])
