"""Train what a config describes: python tools/train.py configs/streets_quadmix.py"""

from udass.cli.train import main

if __name__ == '__main__':
    main()
