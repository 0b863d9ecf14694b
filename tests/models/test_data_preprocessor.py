import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from udass.models import CaffePreprocessor, PixelPreprocessor


@pytest.fixture
def preprocessor():
    return PixelPreprocessor(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 4.0], bgr_to_rgb=True)


def test_the_two_halves_are_what_testing_does_at_once(preprocessor):
    inputs = [torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8) for _ in range(2)]
    data = dict(inputs=inputs, data_samples=[SegDataSample(), SegDataSample()])
    pixels, samples = preprocessor.pixels(data)
    assert pixels.shape == (2, 1, 3, 4, 6) and torch.equal(pixels[:, 0, 0], torch.stack(inputs)[:, 2].float())
    assert len(samples) == 2
    whole = preprocessor(dict(inputs=inputs, data_samples=[SegDataSample(), SegDataSample()]), training=False)
    assert torch.allclose(preprocessor.normalize(pixels)[:, 0], whole['inputs'])


@pytest.mark.parametrize('frames', [2, 3])
def test_clips_are_treated_frame_by_frame(preprocessor, frames):
    inputs = [torch.randint(0, 256, (frames, 3, 4, 6), dtype=torch.uint8) for _ in range(2)]
    samples = [SegDataSample(), SegDataSample()]
    pixels, _ = preprocessor.pixels(dict(inputs=inputs, data_samples=samples))
    whole = preprocessor(dict(inputs=inputs, data_samples=samples), training=False)['inputs']
    assert whole.shape == (2, frames, 3, 4, 6) and torch.equal(whole, preprocessor.normalize(pixels))
    for frame in range(frames):
        images = [clip[frame] for clip in inputs]
        alone = preprocessor(dict(inputs=images, data_samples=samples), training=False)['inputs']
        torch.testing.assert_close(whole[:, frame], alone)


def test_normalisation_by_hand(preprocessor):
    pixel = torch.tensor([11.0, 24.0, 26.0]).reshape(1, 3, 1, 1)
    assert preprocessor.normalize(pixel).flatten().tolist() == [1.0, 2.0, -1.0]


def test_labels_of_one_byte_are_int64_for_the_losses(preprocessor):
    labels = torch.tensor([[[0, 18], [255, 3]]], dtype=torch.uint8)
    sample = SegDataSample(metainfo=dict(img_path='a.png'), gt_sem_seg=PixelData(data=labels))
    data = dict(inputs=[torch.zeros(3, 2, 2, dtype=torch.uint8)], data_samples=[sample])
    for samples in (preprocessor.pixels(data)[1], preprocessor(data)['data_samples']):
        assert samples[0].gt_sem_seg.data.dtype == torch.int64 and samples[0].img_path == 'a.png'
        assert samples[0].gt_sem_seg.data.tolist() == labels.tolist()
    # The loader's sample stays as it is.
    assert sample.gt_sem_seg.data is labels


def test_images_of_different_sizes_in_a_test_batch_are_explained(preprocessor):
    """And clips, too; the message names the sizes, the files and the setting."""
    samples = [SegDataSample(metainfo=dict(img_path=f'{name}.png')) for name in 'ab']
    for frames in ((), (2,)):
        inputs = [torch.zeros(*frames, 3, height, 8, dtype=torch.uint8) for height in (4, 6)]
        with pytest.raises(
            ValueError,
            match=r"differ in size \(H, W\): \[\(4, 8\), \(6, 8\)\], files \['a.png', "
            r"'b.png'\]; set batch_size=1 in test_dataloader",
        ):
            preprocessor(dict(inputs=inputs, data_samples=samples), False)


def test_caffe_pixels_are_rgb_and_the_network_gets_bgr_minus_the_mean():
    preprocessor = CaffePreprocessor(mean=[10.0, 20.0, 30.0])
    inputs = [torch.tensor([11, 22, 33], dtype=torch.uint8).view(3, 1, 1) for _ in range(2)]
    pixels, _ = preprocessor.pixels(dict(inputs=inputs, data_samples=[SegDataSample(), SegDataSample()]))
    assert pixels[0].flatten().tolist() == [33, 22, 11]
    assert preprocessor.normalize(pixels)[0].flatten().tolist() == [1, 2, 3]
    assert preprocessor.neutral.flatten().tolist() == [30, 20, 10]
    whole = preprocessor(dict(inputs=inputs, data_samples=[SegDataSample(), SegDataSample()]), training=False)
    assert torch.equal(whole['inputs'], preprocessor.normalize(pixels)[:, 0])


def test_caffe_clips_are_normalised_frame_by_frame():
    preprocessor = CaffePreprocessor(mean=[10.0, 20.0, 30.0])
    frames = torch.rand(2, 3, 3, 4, 5) * 255
    clip = preprocessor.normalize(frames)
    for index in range(3):
        assert torch.equal(clip[:, index], preprocessor.normalize(frames[:, index]))
