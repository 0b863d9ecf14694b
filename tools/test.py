"""Test a checkpoint: python tools/test.py configs/streets_quadmix.py CHECKPOINT"""

from udass.cli.test import main

if __name__ == '__main__':
    main()
