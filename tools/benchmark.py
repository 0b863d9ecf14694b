"""``python tools/benchmark.py`` is ``udass benchmark``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['benchmark', *sys.argv[1:]])
