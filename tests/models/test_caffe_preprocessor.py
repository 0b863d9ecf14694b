import torch
from mmseg.structures import SegDataSample

from udass.models import CaffePreprocessor


def test_pixels_are_rgb_and_the_network_gets_bgr_minus_the_mean():
    preprocessor = CaffePreprocessor(mean=[10.0, 20.0, 30.0])
    inputs = [torch.tensor([11, 22, 33], dtype=torch.uint8).view(3, 1, 1) for _ in range(2)]
    pixels, _ = preprocessor.pixels(dict(inputs=inputs, data_samples=[SegDataSample(), SegDataSample()]))
    assert pixels[0].flatten().tolist() == [33, 22, 11]
    assert preprocessor.normalize(pixels)[0].flatten().tolist() == [1, 2, 3]
    assert preprocessor.neutral.flatten().tolist() == [30, 20, 10]
    whole = preprocessor(dict(inputs=inputs, data_samples=[SegDataSample(), SegDataSample()]), training=False)
    assert torch.equal(whole['inputs'], preprocessor.normalize(pixels)[:, 0])


def test_clips_are_normalised_frame_by_frame():
    preprocessor = CaffePreprocessor(mean=[10.0, 20.0, 30.0])
    frames = torch.rand(2, 3, 3, 4, 5) * 255
    clip = preprocessor.normalize(frames)
    for index in range(3):
        assert torch.equal(clip[:, index], preprocessor.normalize(frames[:, index]))
