"""Train and test configs with several seeds: python tools/run_seeds.py configs/streets_quadmix.py --seeds 0 1 2"""

from udass.cli import seeds

if __name__ == '__main__':
    seeds.main()
