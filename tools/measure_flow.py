"""``python tools/measure_flow.py`` is ``udass flow --measure``."""

import sys

from udass.cli.main import main

if __name__ == '__main__':
    main(['flow', '--measure', *sys.argv[1:]])
