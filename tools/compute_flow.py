"""Compute optical flow before training: python tools/compute_flow.py CONFIG --workers 8"""

from udass.cli import flow

if __name__ == '__main__':
    flow.main()
