"""Write the built-in street scenes: python tools/make_streets.py --root data/streets --clips"""

from udass.cli import streets

if __name__ == '__main__':
    streets.main()
