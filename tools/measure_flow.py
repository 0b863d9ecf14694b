"""Measure optical flow on labelled clips: python tools/measure_flow.py configs/camvid_video_fusion.py"""

from udass.cli import flow

if __name__ == '__main__':
    flow.measure_main()
