"""Measure time and memory: python tools/benchmark.py step configs/benchmark_quadmix_mitb0.py"""

from udass.benchmark.command import main

if __name__ == '__main__':
    main()
