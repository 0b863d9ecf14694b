"""``python tools/infer.py`` is ``udass infer``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['infer', *sys.argv[1:]])
