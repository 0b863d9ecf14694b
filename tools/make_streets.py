"""``python tools/make_streets.py`` is ``udass streets``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['streets', *sys.argv[1:]])
