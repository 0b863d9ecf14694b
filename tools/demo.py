"""Compare source-only and QuadMix on the built-in streets: python tools/demo.py --out work_dirs/demo"""

from udass.cli import demo

if __name__ == '__main__':
    demo.main()
