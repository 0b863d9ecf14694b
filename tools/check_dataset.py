"""Check the files of data sets: python tools/check_dataset.py configs/gta2cs_quadmix.py"""

from udass.cli import check

if __name__ == '__main__':
    check.main()
