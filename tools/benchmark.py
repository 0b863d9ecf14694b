"""Measure time and memory: python tools/benchmark.py step configs/benchmark_quadmix_mitb0.py"""

from udass.benchmark import command

if __name__ == '__main__':
    command.main()
