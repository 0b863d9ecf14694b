"""Train what a config describes: python tools/train.py configs/streets_quadmix.py"""

from udass.cli import train

if __name__ == '__main__':
    train.main()
