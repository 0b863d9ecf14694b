"""``python tools/adapt.py`` is ``udass adapt``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['adapt', *sys.argv[1:]])
