"""Write the built-in street scenes: python tools/make_streets.py --root data/streets --clips"""

from udass.cli.streets import main

if __name__ == '__main__':
    main()
