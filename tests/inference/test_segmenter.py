from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.structures import PixelData
from mmseg.registry import DATASETS, MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from udass.inference import InputScaling, Segmenter
from udass.inference.segmenter import _probabilities

RESIZE = dict(type='Resize', scale=(64, 32))


@pytest.fixture(scope='module')
def segment(image_run):
    return Segmenter(image_run[1], device='cpu')


@pytest.fixture(scope='module')
def images(streets):
    return sorted((streets / 'camera' / 'val' / 'images').glob('*.png'))


@pytest.fixture(scope='module')
def frames(streets):
    return sorted((streets / 'camera_clips' / 'val').glob('*/images/*.png'))


def scored_ids(config_file, checkpoint, change=None):
    """Ids (H, W) of every sample of the test set, as testing predicts them."""
    config = Config.fromfile(config_file)
    pipeline = config.test_dataloader.dataset.pipeline
    if change is not None:
        pipeline[1] = change
    model = MODELS.build(config.model).eval()
    model.load_networks(torch.load(checkpoint, weights_only=True)['state_dict'], 'the checkpoint')
    found = {}
    for sample in DATASETS.build(config.test_dataloader.dataset):
        with torch.no_grad():
            result = model.test_step(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))[0]
        found[sample['data_samples'].img_path] = result.pred_sem_seg.data[0].numpy()
    return found


def test_an_image_of_the_test_set_gets_the_ids_that_are_evaluated(image_run, segment, images):
    expected = scored_ids(*image_run)
    assert sorted(expected) == [str(path) for path in images]
    for path in images:
        ids = segment(path)
        assert ids.dtype == np.uint8 and ids.shape == (96, 192) and len(np.unique(ids)) > 2
        assert np.array_equal(ids, expected[str(path)])


def test_a_frame_gets_the_ids_that_are_scored_with_the_frame_before(video_run, frames):
    expected = scored_ids(*video_run, dict(type='LoadFlow', estimator=dict(type='DISFlow')))
    segment = Segmenter(*video_run, device='cpu')
    assert segment.uses_flow and len(expected) == 4
    with_flow = segment.batch(frames, [frames[0], *frames[:-1]])
    for path, ids in zip(frames, with_flow, strict=True):
        assert np.array_equal(ids, expected[str(path)])


def test_flow_is_computed_where_the_config_computes_it_and_not_for_a_still(frames):
    seen = []

    def estimator(first, second):
        seen.append(first.shape)
        return np.ones((*first.shape[:2], 2), np.float32)

    images = [cv2.imread(str(path)) for path in frames[:2]]
    load = dict(type='LoadFlow', estimator=dict(type='DISFlow'))
    for pipeline, size, flow in (
        ([RESIZE, load], (32, 64), (1, 1)),
        ([RESIZE], (32, 64), (1, 1)),
        ([load, RESIZE], (96, 192), (1 / 3, 1 / 3)),
    ):
        scaled, found = InputScaling(pipeline)(images, estimator)
        assert seen.pop()[:2] == size and [frame.shape for frame in scaled] == [(32, 64, 3)] * 2
        assert found.shape == (32, 64, 2) and np.allclose(found, flow)
    still = InputScaling([load, RESIZE])([images[0]] * 2, estimator)
    assert not seen and not still[1].any() and np.array_equal(*still[0])


def test_many_at_once_are_one_by_one(segment, images):
    other = cv2.resize(cv2.imread(str(images[0])), (100, 150))[..., ::-1]
    together = segment.batch([images[0], other, images[1]])
    assert [ids.shape for ids in together] == [(96, 192), (150, 100), (96, 192)]
    assert all(
        (ids == segment(one)).mean() > 0.999 for ids, one in zip(together, [images[0], other, images[1]], strict=True)
    )
    as_array = cv2.imread(str(images[0]))[..., ::-1]
    assert np.array_equal(segment(as_array), segment(str(images[0])))


def test_the_network_sees_the_tested_size_or_the_own_one(image_run, segment):
    image, seen = np.zeros((70, 50, 3), np.uint8), []
    native = Segmenter(image_run[1], device='cpu', native=True)
    for one in (segment, native):
        handle = one.network.backbone.register_forward_pre_hook(
            lambda module, inputs: seen.append(tuple(inputs[0].shape))
        )
        assert one(image).shape == (70, 50)
        handle.remove()
    # A portrait is not squashed.
    assert seen == [(1, 3, 358, 256), (1, 3, 70, 50)]
    tested = 'resized to cover 256x128 at their aspect ratio'
    assert segment.scaling.describe().startswith(f'Images are {tested}, as the network was tested')
    assert native.scaling.describe().endswith(f'own size (native); the network was tested with images {tested}')


def test_an_aspect_ratio_is_kept_where_the_config_keeps_it():
    scaling = InputScaling([dict(type='LoadImage'), dict(RESIZE, keep_ratio=True), dict(type='PackUDAInputs')])
    assert scaling([np.zeros((100, 100, 3), np.uint8)])[0][0].shape == (32, 32, 3)
    assert scaling([np.zeros((200, 100, 3), np.uint8)])[0][0].shape == (64, 32, 3)
    assert 'resized to fit 64x32 at their aspect ratio' in scaling.describe()
    assert 'own size: the test pipeline of the config has no resize' in InputScaling([]).describe()
    with pytest.raises(ValueError, match='the test pipeline of the config holds CutBottomRows: only resizes can be'):
        InputScaling([dict(type='CutBottomRows', rows=1, height=9)])
    InputScaling([dict(type='CutBottomRows', rows=1, height=9)], native=True)


def test_windows_slide_where_the_network_says_so(image_run, segment, images):
    windows = dict(mode='slide', crop_size=(128, 128), stride=(64, 64), max_batch=2)
    sliding = Segmenter(image_run[1], device='cpu', options={'model.student.test_cfg': windows})
    seen = []
    sliding.network.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    assert not np.array_equal(sliding(images[0]), segment(images[0]))
    assert seen == [(2, 3, 128, 128), (1, 3, 128, 128)]


def test_an_orientation_tag_turns_the_image_upright(segment, images, tmp_path):
    upright = Image.open(images[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / 'turned.png', exif=exif)
    assert np.array_equal(segment(tmp_path / 'turned.png'), segment(images[0]))


def test_what_is_no_image_is_refused(segment, video_run, images, tmp_path):
    (tmp_path / 'text.png').write_text('no image')
    with pytest.raises(ValueError, match='text.png .* cannot be decoded'):
        segment(tmp_path / 'text.png')
    with pytest.raises(ValueError, match=r'array \(H, W, 3\) uint8 RGB .*, got float64 \(4, 4, 3\)'):
        segment(np.zeros((4, 4, 3)))
    with pytest.raises(ValueError, match='uint8 RGB .*, got list'):
        segment([1])
    with pytest.raises(ValueError, match='2 images and 1 previous frames'):
        segment.batch(images[:2], images[:1])
    message = f'{Path(images[0]).name} is 192x96 pixels, the frame before it, an array, 40x40'
    with pytest.raises(ValueError, match=message):
        Segmenter(*video_run, device='cpu')(images[0], np.zeros((40, 40, 3), np.uint8))


def test_images_of_pillow_and_arrays_are_images(segment, images):
    expected = segment(images[0])
    with Image.open(images[0]) as file:
        image = file.convert('RGB')
    array = np.array(image)
    alpha = np.dstack([array, np.zeros(array.shape[:2], np.uint8)])
    for one in (image, image.convert('RGBA'), image.convert('CMYK').convert('RGB'), array, alpha, array[:, ::1]):
        assert np.array_equal(segment(one), expected)
    grey = image.convert('L')
    assert np.array_equal(segment(grey), segment(np.array(grey)))
    assert np.array_equal(segment(grey), segment(np.repeat(np.array(grey)[..., None], 3, axis=2)))
    turned = image.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[274] = 6
    assert np.array_equal(segment(turned), expected)


_SHAPES = ((4, 4, 2), (0, 4, 3), (3, 4, 5), (4,))
_NO_IMAGES = [Image.new('I;16', (4, 4)), Image.new('F', (4, 4)), np.zeros((4, 4, 3), np.uint16), None, [1, 2]]


@pytest.mark.parametrize('image', [*_NO_IMAGES, *(np.zeros(shape, np.uint8) for shape in _SHAPES)])
def test_other_arrays_and_images_are_refused(segment, image):
    with pytest.raises(ValueError, match=r'0\.\.255'):
        segment(image)


def test_probabilities_belong_to_the_ids(segment, images, video_run):
    found = segment.probabilities(images[0])
    assert found.dtype == np.float32 and found.shape == (19, 96, 192)
    assert np.allclose(found.sum(axis=0), 1, atol=1e-5) and found.min() >= 0
    assert np.array_equal(found.argmax(axis=0), segment(images[0]))
    two = Segmenter(*video_run, device='cpu')
    assert np.array_equal(two.probabilities(images[0], images[1]).argmax(axis=0), two(images[0], images[1]))


def test_probabilities_of_one_sigmoid():
    result = SegDataSample(seg_logits=PixelData(data=torch.tensor([[[0.25, 1.0]]])))
    assert _probabilities(result).tolist() == [[[0.75, 0.0]], [[0.25, 1.0]]]
