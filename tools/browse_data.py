"""Show the training samples of a config: python tools/browse_data.py configs/streets_quadmix.py --out samples.png"""

from udass.cli import browse

if __name__ == '__main__':
    browse.main()
