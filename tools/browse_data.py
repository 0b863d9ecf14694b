"""Show the training samples of a config: python tools/browse_data.py configs/streets_quadmix.py --out samples.png"""

from udass.cli.browse import main

if __name__ == '__main__':
    main()
