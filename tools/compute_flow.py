"""``python tools/compute_flow.py`` is ``udass flow``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['flow', *sys.argv[1:]])
