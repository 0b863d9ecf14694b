"""Check the files of data sets: python tools/check_dataset.py configs/gta2cs_quadmix.py"""

from udass.cli.check import main

if __name__ == '__main__':
    main()
