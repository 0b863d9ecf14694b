"""``python tools/check_dataset.py`` is ``udass check``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['check', *sys.argv[1:]])
