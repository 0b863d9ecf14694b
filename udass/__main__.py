"""The command ``udass``, as ``python -m udass``."""

from udass.cli.main import main

if __name__ == '__main__':
    main()
