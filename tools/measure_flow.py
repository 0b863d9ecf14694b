"""Measure optical flow on labelled clips: python tools/measure_flow.py configs/camvid_video_fusion.py"""

from udass.cli.flow import measure_main

if __name__ == '__main__':
    measure_main()
