"""``python tools/demo.py`` is ``udass demo``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['demo', *sys.argv[1:]])
