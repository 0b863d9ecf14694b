"""``python tools/train.py`` is ``udass train``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['train', *sys.argv[1:]])
