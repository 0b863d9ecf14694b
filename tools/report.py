"""Write an HTML page of runs: python tools/report.py work_dirs/streets_quadmix --out report.html"""

from udass.cli import report

if __name__ == '__main__':
    report.main()
