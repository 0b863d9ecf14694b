"""Segment images and video: python tools/infer.py CHECKPOINT INPUT... --out DIR"""

from udass.cli import infer

if __name__ == '__main__':
    infer.main()
