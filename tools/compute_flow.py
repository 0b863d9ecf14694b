"""Compute optical flow before training: python tools/compute_flow.py CONFIG --workers 8"""

from udass.cli.flow import main

if __name__ == '__main__':
    main()
