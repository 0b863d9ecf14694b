"""``python tools/report.py`` is ``udass report``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['report', *sys.argv[1:]])
