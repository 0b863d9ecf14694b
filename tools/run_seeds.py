"""``python tools/run_seeds.py`` is ``udass seeds``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['seeds', *sys.argv[1:]])
