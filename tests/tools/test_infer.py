import cv2
import numpy as np
import pytest

from tests.inference.conftest import image_run, streets, video_run  # noqa: F401
from tools import infer
from udass.inference import Segmenter


def call(*arguments):
    infer.infer(infer.parse_args([*map(str, arguments), '--device', 'cpu']))


@pytest.fixture
def pictures(streets, tmp_path):  # noqa: F811
    """A folder of two pictures of different sizes and one in a folder below."""
    image = cv2.imread(str(next((streets / 'camera' / 'val' / 'images').glob('*.png'))))
    for name, size in (('b.jpg', (192, 96)), ('a.png', (90, 60)), ('sub/c.png', (192, 96))):
        path = tmp_path / 'in' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.resize(image, size))
    return tmp_path / 'in'


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file())


def test_pictures_become_ids_and_overlays(image_run, pictures, tmp_path, capsys):  # noqa: F811
    call(image_run[1], pictures, '--out', tmp_path / 'out')
    assert written(tmp_path / 'out') == [f'{kind}/{name}.png' for kind in ('ids', 'overlays')
                                         for name in ('a', 'b', 'sub/c')]
    ids = cv2.imread(str(tmp_path / 'out' / 'ids' / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert ids.shape == (60, 90) and ids.max() < 19
    overlay = cv2.imread(str(tmp_path / 'out' / 'overlays' / 'a.png'))
    assert overlay.shape[1] == 720 and overlay.shape[0] > 480
    printed = capsys.readouterr().out
    assert 'student of ' in printed and 'Pictures are resized to cover 256x128 at their aspect' in printed
    assert f'3 pictures in {tmp_path / "out"}: ids/ (class ids), overlays/' in printed
    call(*image_run, pictures / 'a.png', pictures / 'sub', '--out', tmp_path / 'again', '--batch-size', '2')
    for name in ('a', 'c'):
        again = cv2.imread(str(tmp_path / 'again' / 'ids' / f'{name}.png'), cv2.IMREAD_UNCHANGED)
        first = tmp_path / 'out' / 'ids' / (f'{name}.png' if name == 'a' else 'sub/c.png')
        assert (again == cv2.imread(str(first), cv2.IMREAD_UNCHANGED)).mean() > 0.999


def test_the_branch_and_the_size_are_choices(image_run, pictures, tmp_path, capsys):  # noqa: F811
    for name, options in (('student', ()), ('teacher', ('--branch', 'teacher')), ('native', ('--native', ))):
        call(image_run[1], pictures / 'b.jpg', '--out', tmp_path / name, *options)
    ids = {name: cv2.imread(str(tmp_path / name / 'ids' / 'b.png'), cv2.IMREAD_UNCHANGED)
           for name in ('student', 'teacher', 'native')}
    assert (ids['student'] != ids['teacher']).any() and (ids['student'] != ids['native']).any()
    printed = capsys.readouterr().out
    assert 'teacher of ' in printed and 'own size (native); the network was tested at 256x128' in printed


def test_a_video_and_its_frames_give_one_result(video_run, streets, tmp_path, capsys):  # noqa: F811
    frames = sorted((streets / 'camera_clips' / 'val').glob('*/images/*.png'))
    call(*video_run, frames[0].parent, '--out', tmp_path / 'out', '--fps', '5', '--overlays', '--batch-size', '3')
    names = [path.stem for path in frames]
    assert written(tmp_path / 'out') == ['ids/images/' + f'{name}.png' for name in names] + ['images.mp4'] + [
        'overlays/images/' + f'{name}.png' for name in names]
    video = cv2.VideoCapture(str(tmp_path / 'out' / 'images.mp4'))
    assert (video.get(cv2.CAP_PROP_FPS), video.get(cv2.CAP_PROP_FRAME_COUNT)) == (5, 4)
    assert 'Flow (dis) joins each video frame with the one before\n' in capsys.readouterr().out

    def ids(folder, name):
        return cv2.imread(str(tmp_path / folder / 'ids' / f'{name}.png'), cv2.IMREAD_UNCHANGED)

    # One by one there is no flow.
    call(*video_run, frames[2], '--out', tmp_path / 'alone')
    assert (ids('alone', names[2]) != ids('out', f'images/{names[2]}')).any()
    assert '1 single pictures are segmented by themselves' in capsys.readouterr().out
    writer = cv2.VideoWriter(str(tmp_path / 'film.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 5, (192, 96))
    for path in frames:
        writer.write(cv2.imread(str(path)))
    writer.release()
    call(*video_run, tmp_path / 'film.mp4', '--out', tmp_path / 'film')
    assert written(tmp_path / 'film') == ['film.mp4'] + [f'ids/film/00000{number}.png' for number in range(4)]
    decoded = [frame[..., ::-1] for frame in read(tmp_path / 'film.mp4')]
    expected = Segmenter(*video_run, device='cpu').batch(decoded, [decoded[0], *decoded[:-1]])
    assert all(np.array_equal(ids('film', f'film/00000{number}'), one) for number, one in enumerate(expected))


def read(path):
    capture = cv2.VideoCapture(str(path))
    while (found := capture.read())[0]:
        yield found[1]


def test_what_cannot_be_read_is_named_and_the_rest_is_done(image_run, pictures, tmp_path, capsys):  # noqa: F811
    (pictures / 'broken.png').write_bytes(b'no picture')
    with pytest.raises(SystemExit) as stop:
        call(image_run[1], pictures, '--out', tmp_path / 'out')
    assert 'not segmented:' in stop.value.code and 'broken.png' in stop.value.code
    assert len(written(tmp_path / 'out' / 'ids')) == 3 and '3 pictures in' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, message', [
    (['a.pth', '--out', 'x'], 'give inputs after a.pth'), (['a.py', '--out', 'x'], 'give the checkpoint after a.py'),
    (['a.py', 'a.pth', '--out', 'x'], 'give inputs after a.pth'), (['a.pth', 'b.png'], 'required: --out'),
    (['a.pth', 'b.png', '--out', 'x', '--batch-size', '0'], '--batch-size and --fps are positive, got 0')])
def test_incomplete_commands_say_what_is_missing(arguments, message, capsys):
    with pytest.raises(SystemExit):
        infer.parse_args(arguments)
    assert message in capsys.readouterr().err


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
    assert written(tmp_path / 'out') == ['A.mp4', 'B.mp4'] + [f'ids/{name}/00000{number}.png' for name in 'AB'
                                                              for number in range(2)]
    with pytest.raises(ValueError, match='would both be named 000000'):
        call(image_run[1], tmp_path / 'A', tmp_path / 'B', '--out', tmp_path / 'pictures')
