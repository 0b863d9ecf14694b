"""Walking a data set: what is reported, and what the counts are good for afterwards."""

import numpy as np
import pytest
from PIL import Image

from tests.datasets.published import write_gta, write_png
from udass.datasets import GTA, check_dataset, class_statistics
from udass.datasets.base.checking import check_pipeline
from udass.datasets.sampling import statistics as statistics_module


def build(root, tolerance=0, **more):
    steps = [dict(type='LoadImage'), dict(type='LoadLabels', max_size_difference=tolerance)]
    return GTA(data_root=str(root), pipeline=steps, lazy_init=True, **more)


@pytest.fixture
def root(tmp_path):
    write_gta(tmp_path, '00001', ids=(7, 8), size=(20, 10))
    write_gta(tmp_path, '00002', ids=(7, 0), size=(20, 10))
    return tmp_path


def test_a_sound_data_set_and_its_histogram(root):
    report = check_dataset(build(root))
    assert not report.problems and report.images == 2 and dict(report.sizes) == {(20, 10): 2}
    assert report.pixels.tolist() == [200, 100] + [0] * 17 and report.files.tolist() == [2, 1] + [0] * 17
    assert report.ignored == 100


def test_the_counts_serve_the_class_statistics(root, monkeypatch):
    check_dataset(build(root))
    monkeypatch.setattr(statistics_module, 'count_pixels', lambda *_: pytest.fail('counted again'))
    assert class_statistics(build(root)).pixels[:, :2].tolist() == [[100, 100], [100, 0]]


def test_every_kind_of_problem_is_reported_once(root):
    for name in ('00003', '00004', '00005', '00006', '00007'):
        write_gta(root, name, size=(20, 10))
    (root / 'labels/00003.png').unlink()
    (root / 'images/00004.png').unlink()
    (root / 'images/00005.png').write_bytes((root / 'images/00005.png').read_bytes()[:60])
    write_gta(root, '00006', ids=(7, 77), size=(20, 10))
    write_gta(root, '00007', size=(20, 10), label_size=(19, 10))
    expected = [
        'labels/00003.png is missing: the label of',
        'images/00004.png is missing: the image of',
        'images/00005.png (60 bytes) cannot be decoded',
        'labels/00006.png holds the label ids [77]',
        'labels/00007.png is 19x10 pixels, its image',
    ]
    problems = check_dataset(build(root)).problems
    assert [sum(text in problem for problem in problems) for text in expected] == [1] * 5 and len(problems) == 5
    # What is usable has been counted: two sound files, the label of the damaged image and the one of another size.
    assert check_dataset(build(root, tolerance=1)).files[0] == 4
    assert len(check_dataset(build(root, tolerance=1)).problems) == 4


def test_images_alone(root):
    write_png(root / 'images/00009.png', np.zeros((5, 7, 3), np.uint8))
    report = check_dataset(build(root, labelled=False))
    assert not report.problems and dict(report.sizes) == {(20, 10): 2, (7, 5): 1} and report.pixels is None


def test_nothing_there(tmp_path):
    report = check_dataset(build(tmp_path))
    assert report.images == 0 and len(report.problems) == 1 and 'images does not exist' in report.problems[0]


def test_no_labels_at_all(root):
    for path in (root / 'labels').iterdir():
        path.unlink()
    report = check_dataset(build(root))
    assert report.images == 2 and len(report.problems) == 1 and 'no labels *.png' in report.problems[0]


def test_equal_findings_are_one_line(root):
    for number in range(3, 8):
        write_gta(root, f'{number:05d}', ids=(7, 77) if number < 6 else (7, 78), size=(20 + number, 10))
        (root / f'images/{number}.png').write_bytes(b'x' * number)
        (root / f'labels/{number}.png').write_bytes(b'x' * number)
    problems = check_dataset(build(root)).problems
    assert len(problems) == 4
    found = {
        text: next(problem for problem in problems if text in problem)
        for text in ('ids [77]', 'ids [78]', 'cannot be decoded: ', 'decoded as a label')
    }
    assert found['ids [77]'].endswith(f'(and 2 more like this: {root}/images/00004.png, {root}/images/00005.png)')
    assert found['ids [78]'].endswith(f'(and 1 more like this: {root}/images/00007.png)')
    assert found['cannot be decoded: '].endswith(
        '(and 4 more like this: ' + ', '.join(f'{root}/images/{number}.png' for number in (4, 5, 6)) + ', ...)'
    )


def test_what_is_unusual_is_a_warning(root):
    upright = Image.open(root / 'images/00001.png')
    upright.save(root / 'images/00001.png', exif=b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\1\0\6\0\0\0\0\0\0')
    write_gta(root, '00003', size=(20, 10))
    (root / 'images/00003.png').rename(root / 'images/00003.jpg')
    report = check_dataset(build(root))
    turned, left_out, unseen = report.warnings
    assert turned.startswith('1 images have an orientation tag (EXIF)') and f'{root}/images/00001.png.' in turned
    assert '1 images in ' in left_out and 'do not end in .png and are left out: 00003.jpg' in left_out
    assert unseen.startswith('no label has building, wall')


def steps(scale, crop=(32, 32), **more):
    return [
        dict(type='LoadImage'),
        dict(type='RandomResize', scale=scale, keep_ratio=True, **more),
        dict(type='RareClassCrop', crop_size=crop),
        dict(type='PackUDAInputs'),
    ]


@pytest.mark.parametrize(
    'pipeline, found',
    [
        (steps((64, 32), ratio_range=(1.0, 2.0)), []),
        # One draw in a hundred is too small.
        (steps((64, 32), ratio_range=(0.99, 2.0)), ['fails on images of 20x10 pixels']),
        (steps((64, 32), ratio_range=(1.0, 2.0))[:2] + steps((64, 32))[3:], ['sizes, which make no batch']),
    ],
)
def test_pipelines_are_run_on_every_size(root, pipeline, found):
    write_gta(root, '00003', size=(40, 20))
    report = check_dataset(build(root, labelled=False))
    assert report.examples.keys() == {(20, 10), (40, 20)}
    problems = check_pipeline(
        GTA(data_root=str(root), labelled=False, pipeline=pipeline, lazy_init=True), report.examples, one_size=True
    )
    assert len(problems) == len(found)
    for text, problem in zip(found, problems, strict=True):
        assert text in problem
        assert 'fails' not in text or 'and 1 more like this' in problem
