"""``python tools/browse_data.py`` is ``udass browse``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['browse', *sys.argv[1:]])
