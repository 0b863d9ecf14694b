"""Convert weights between code bases: python tools/convert_checkpoint.py IN OUT --from mit"""

from udass.cli import convert

if __name__ == '__main__':
    convert.main()
