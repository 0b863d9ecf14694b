"""``python tools/test.py`` is ``udass test``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['test', *sys.argv[1:]])
