"""Segment images and video: python tools/infer.py CHECKPOINT INPUT... --out DIR"""

from udass.cli.infer import main

if __name__ == '__main__':
    main()
