"""The command ``python -m udass.env``."""

import sys

from udass.cli.env import main

if __name__ == '__main__':
    sys.exit(main())
