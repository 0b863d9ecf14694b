import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

from tests.cli import calls
from tests.inference.conftest import image_run, streets, video_run  # noqa: F401
from udass.cli import UsageError, infer
from udass.inference import Segmenter, Stream
from udass.io.video_writer import VideoWriter


def call(*arguments):
    calls.call(infer, *arguments, '--device', 'cpu')


@pytest.fixture
def images(streets, tmp_path):  # noqa: F811
    """A folder of two images of different sizes and one in a folder below."""
    image = cv2.imread(str(next((streets / 'camera' / 'val' / 'images').glob('*.png'))))
    for name, size in (('b.jpg', (192, 96)), ('a.png', (90, 60)), ('sub/c.png', (192, 96))):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(image, size))
    return tmp_path / 'in'


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_images_become_ids_and_overlays(image_run, images, tmp_path, capsys):  # noqa: F811
    call(image_run[1], images, '--out', tmp_path / 'out')
    assert written(tmp_path / 'out') == [
        f'{kind}/{name}.png' for kind in ('ids', 'overlays') for name in ('a', 'b', 'sub/c')
    ]
    ids = cv2.imread(str(tmp_path / 'out' / 'ids' / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert ids.shape == (60, 90) and ids.max() < 19
    overlay = cv2.imread(str(tmp_path / 'out' / 'overlays' / 'a.png'))
    assert overlay.shape[1] == 720 and overlay.shape[0] > 480
    printed = capsys.readouterr().out
    assert 'student of ' in printed and 'Images are resized to cover 256x128 at their aspect' in printed
    assert f'3 images in {tmp_path / "out"}: ids/ (class ids), overlays/' in printed
    call(*image_run, images / 'a.png', images / 'sub', '--out', tmp_path / 'again', '--batch-size', '2')
    for name in ('a', 'c'):
        again = cv2.imread(str(tmp_path / 'again' / 'ids' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        first = tmp_path / 'out' / 'ids' / (f'{name}.png' if name == 'a' else 'sub/c.png')
        assert (again == cv2.imread(str(first), cv2.IMREAD_UNCHANGED)).mean() > 0.999


def test_the_branch_and_the_size_are_choices(image_run, images, tmp_path, capsys):  # noqa: F811
    for name, options in (('student', ()), ('teacher', ('--branch', 'teacher')), ('native', ('--native',))):
        call(image_run[1], images / 'b.jpg', '--out', tmp_path / name, *options)
    ids = {
        name: cv2.imread(str(tmp_path / name / 'ids' / 'b.png'), cv2.IMREAD_UNCHANGED)
        for name in ('student', 'teacher', 'native')
    }
    assert (ids['student'] != ids['teacher']).any() and (ids['student'] != ids['native']).any()
    printed = capsys.readouterr().out
    assert 'teacher of ' in printed
    assert 'own size (native); the network was tested with images resized to cover 256x128' in printed


def test_a_video_and_its_frames_give_one_result(video_run, streets, tmp_path, capsys):  # noqa: F811
    frames = sorted((streets / 'camera_clips' / 'val').glob('*/images/*.png'))
    call(*video_run, frames[0].parent, '--out', tmp_path / 'out', '--fps', '5', '--overlays', '--batch-size', '3')
    names = [path.stem for path in frames]
    assert written(tmp_path / 'out') == ['ids/images/' + f'{name}.png' for name in names] + [
        'images.legend.png',
        'images.mp4',
    ] + ['overlays/images/' + f'{name}.png' for name in names]
    video = cv2.VideoCapture(str(tmp_path / 'out' / 'images.mp4'))
    assert (video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)) == (5, 4)
    assert (video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (192, 96)
    assert 'Flow (dis) joins each video frame with the one before\n' in capsys.readouterr().out

    def ids(folder, name):
        return cv2.imread(str(tmp_path / folder / 'ids' / f'{name}.png'), cv2.IMREAD_UNCHANGED)

    # One by one there is no flow.
    call(*video_run, frames[2], '--out', tmp_path / 'alone')
    assert (ids('alone', names[2]) != ids('out', f'images/{names[2]}')).any()
    assert '1 single images are segmented by themselves' in capsys.readouterr().out
    writer = cv2.VideoWriter(str(tmp_path / 'film.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 5, (192, 96))
    for path in frames:
        writer.write(cv2.imread(str(path)))
    writer.release()
    call(*video_run, tmp_path / 'film.mp4', '--out', tmp_path / 'film')
    assert written(tmp_path / 'film') == ['film.legend.png', 'film.mp4'] + [
        f'ids/film/00000{number}.png' for number in range(4)
    ]
    decoded = [frame[..., ::-1] for frame in read(tmp_path / 'film.mp4')]
    expected = Segmenter(*video_run, device='cpu').batch(decoded, [decoded[0], *decoded[:-1]])
    assert all(np.array_equal(ids('film', f'film/00000{number}'), one) for number, one in enumerate(expected))


def read(path):
    capture = cv2.VideoCapture(str(path))
    while (found := capture.read())[0]:
        yield found[1]


def test_what_cannot_be_read_is_named_and_the_rest_is_done(image_run, images, tmp_path, capsys):  # noqa: F811
    (images / 'broken.png').write_bytes(b'no image')
    with pytest.raises(SystemExit) as stop:
        call(image_run[1], images, '--out', tmp_path / 'out')
    assert 'not segmented:' in stop.value.code and 'broken.png' in stop.value.code
    assert len(written(tmp_path / 'out' / 'ids')) == 3 and '3 images in' in capsys.readouterr().out


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['a.pth', '--out', 'x'], 'give inputs after a.pth'),
        (['a.py', '--out', 'x'], 'give the checkpoint after a.py'),
        (['a.py', 'a.pth', '--out', 'x'], 'give inputs after a.pth'),
        (['a.pth', 'b.png', '--out', 'x', '--batch-size', '0'], '--batch-size and --fps must be positive, got 0'),
    ],
)
def test_incomplete_commands_say_what_is_missing(arguments, message):
    with pytest.raises(UsageError, match=message):
        call(*arguments)


def test_wrong_inputs_are_told_before_the_network_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match='input gone.png does not exist'):
        call('no_network.pth', 'gone.png', '--out', tmp_path)


def test_videos_of_numbered_frames_may_have_frames_of_equal_names(image_run, video_run, streets, tmp_path):  # noqa: F811
    frames = sorted((streets / 'camera_clips' / 'val').glob('*/images/*.png'))[:2]
    for name in ('A', 'B'):
        (tmp_path / name).mkdir()
        for number, path in enumerate(frames):
            (tmp_path / name / f'{number:06d}.png').write_bytes(path.read_bytes())
    call(*video_run, tmp_path / 'A', tmp_path / 'B', '--out', tmp_path / 'out')
    assert written(tmp_path / 'out') == [f'{name}.{kind}' for name in 'AB' for kind in ('legend.png', 'mp4')] + [
        f'ids/{name}/00000{number}.png' for name in 'AB' for number in range(2)
    ]
    with pytest.raises(ValueError, match='would both be named 000000'):
        call(image_run[1], tmp_path / 'A', tmp_path / 'B', '--out', tmp_path / 'images')


@pytest.mark.parametrize('bad', [0, 1, 3])
def test_a_video_goes_on_after_a_bad_frame(video_run, streets, tmp_path, bad):  # noqa: F811
    """The one before it is shown again; the others are as they would be without it."""
    frames = sorted((streets / 'camera_clips' / 'val').glob('*/images/*.png'))
    (tmp_path / 'in').mkdir()
    for number, path in enumerate(frames):
        (tmp_path / 'in' / path.name).write_bytes(path.read_bytes() if number != bad else b'no image')
    with pytest.raises(SystemExit) as stop:
        call(*video_run, tmp_path / 'in', '--out', tmp_path / 'out', '--batch-size', '2')
    assert stop.value.code.count(frames[bad].name) == 1 and stop.value.code.count('\n') == 1
    good = [path for number, path in enumerate(frames) if number != bad]
    assert written(tmp_path / 'out') == [f'ids/in/{path.name}' for path in good] + ['in.legend.png', 'in.mp4']
    assert len(list(read(tmp_path / 'out' / 'in.mp4'))) == 4
    segment = Segmenter(*video_run, device='cpu')
    first = cv2.imread(str(tmp_path / 'out' / 'ids' / 'in' / good[0].name), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(first, segment(good[0], good[0]))


def test_images_go_on_after_one_that_the_network_cannot_take(image_run, images, tmp_path, monkeypatch):  # noqa: F811
    batch = Segmenter.batch

    def fails(self, images, previous=None):
        if any(image.shape == (60, 90, 3) for image in images):
            raise RuntimeError('out of memory')
        return batch(self, images, previous)

    monkeypatch.setattr(Segmenter, 'batch', fails)
    with pytest.raises(SystemExit) as stop:
        call(image_run[1], images, '--out', tmp_path / 'out', '--batch-size', '3')
    assert stop.value.code == f'error: not segmented:\n  {images}/a.png: out of memory'
    assert written(tmp_path / 'out' / 'ids') == ['b.png', 'sub/c.png']


def test_a_full_disk_ends_with_a_message(image_run, images, tmp_path, monkeypatch):  # noqa: F811
    def full(*arguments):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.replace', full)
    with pytest.raises(OSError, match='No space left'):
        call(image_run[1], images, '--out', tmp_path / 'out')
    assert written(tmp_path / 'out') == []


def test_a_stream_is_segmented_until_it_ends_or_is_stopped(image_run, streets, tmp_path, monkeypatch, capsys):  # noqa: F811
    frames = sorted((streets / 'camera_clips' / 'val').glob('*/images/*.png'))
    with VideoWriter(tmp_path / 'served' / 'film.mp4', 5) as video:
        for path in frames:
            video.add(cv2.imread(str(path))[..., ::-1])
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / 'served'))
    with ThreadingHTTPServer(('localhost', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f'http://localhost:{server.server_port}/film.mp4'
        call(image_run[1], address, '--out', tmp_path / 'out')
        stream = Stream.__iter__

        def stopped(self):
            for number, frame in enumerate(stream(self)):
                if number == 2:
                    raise KeyboardInterrupt
                yield frame

        monkeypatch.setattr(Stream, '__iter__', stopped)
        call(image_run[1], address, '--out', tmp_path / 'stopped')
        server.shutdown()
    for folder, count in (('out', 4), ('stopped', 2)):
        assert len(written(tmp_path / folder / 'ids')) == count
        assert len(list(read(tmp_path / folder / 'localhost_film.mp4'))) == count
    assert 'stopped' in capsys.readouterr().out
