"""Test a checkpoint: python tools/test.py configs/streets_quadmix.py CHECKPOINT"""

from udass.cli import test

if __name__ == '__main__':
    test.main()
