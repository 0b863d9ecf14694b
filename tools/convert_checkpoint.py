"""``python tools/convert_checkpoint.py`` is ``udass convert``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['convert', *sys.argv[1:]])
