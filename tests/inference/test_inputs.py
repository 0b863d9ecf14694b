import cv2
import numpy as np
import pytest

from udass.inference import Frame, Stream, Video, find_inputs


@pytest.fixture
def folder(tmp_path):
    """Images below a folder, a video, numbered frames, and other files."""
    images = ('images/b.JPG', 'images/a.png', 'images/sub/a.png')
    frames = (f'frames/{name}.png' for name in ('f_10', 'f_2', 'f_9', 'left/1', 'left/2'))
    for name in (*images, *frames):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / name), np.zeros((32, 48, 3), np.uint8))
    (tmp_path / 'images' / 'notes.txt').write_text('x')
    (tmp_path / 'empty').mkdir()
    writer = cv2.VideoWriter(str(tmp_path / 'drive.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 12, (48, 32))
    for _ in range(3):
        writer.write(np.zeros((32, 48, 3), np.uint8))
    writer.release()
    return tmp_path


def names(video):
    return [frame.name for frame in video.frames]


def test_images_come_first_and_videos_are_videos(folder):
    images, video = find_inputs([folder / 'drive.mp4', folder / 'images'])
    assert images.name is None and names(images) == ['a', 'b', 'sub/a']
    assert images.frames[0] == Frame(str(folder / 'images' / 'a.png'), 'a', None)
    path = str(folder / 'drive.mp4')
    assert video == Video(
        'drive',
        (
            Frame(f'{path}#000000', 'drive/000000', f'{path}#000000'),
            Frame(f'{path}#000001', 'drive/000001', f'{path}#000000'),
            Frame(f'{path}#000002', 'drive/000002', f'{path}#000001'),
        ),
        12,
    )


def test_numbered_frames_follow_their_numbers_sequence_by_sequence(folder):
    main, left = find_inputs([folder / 'frames'], numbered=True, rate=5)
    if main.name != 'frames/f':
        main, left = left, main
    assert (main.name, left.name, main.rate) == ('frames/f', 'frames/left', 5)
    assert names(main) == ['frames/f/f_2', 'frames/f/f_9', 'frames/f/f_10']
    before = [frame.previous.rsplit('/', 1)[1] for frame in main.frames]
    assert before == ['f_2.png', 'f_2.png', 'f_9.png']
    assert names(left) == ['frames/left/1', 'frames/left/2']


def test_a_folder_is_a_video_by_itself_if_all_names_have_a_number(folder):
    assert [video.name for video in find_inputs([folder / 'images'], numbered=None)] == [None]
    assert None not in [video.name for video in find_inputs([folder / 'frames'], numbered=None)]
    assert [video.name for video in find_inputs([folder / 'frames'])] == [None]


def test_patterns(folder):
    assert names(find_inputs([f'{folder}/images/*.png'])[0]) == ['a']
    assert names(find_inputs([f'{folder}/frames/**/*.png'])[0]) == ['f_10', 'f_2', 'f_9', '1', '2']
    (folder / 'a[1].png').write_bytes((folder / 'images' / 'a.png').read_bytes())
    assert names(find_inputs([folder / 'a[1].png'])[0]) == ['a[1]'], 'an existing file is no pattern'
    with pytest.raises(FileNotFoundError, match=r'no file matches .*\*\.tif'):
        find_inputs([f'{folder}/*.tif'])


def test_bad_inputs_are_refused_by_name(folder):
    with pytest.raises(FileNotFoundError, match='input nowhere.png does not exist'):
        find_inputs(['nowhere.png'])
    with pytest.raises(FileNotFoundError, match=r'folder .*empty holds no image \(.*\) and no video: no files'):
        find_inputs([folder / 'empty'])
    with pytest.raises(ValueError, match='notes.txt is neither an image .* nor a video'):
        find_inputs([folder / 'images' / 'notes.txt'])
    with pytest.raises(ValueError, match='a.png has no number'):
        find_inputs([folder / 'images'], numbered=True)
    with pytest.raises(ValueError, match=r'results of .*images/a.png and .*sub/a.png would both be named a: give'):
        find_inputs([folder / 'images' / 'a.png', folder / 'images' / 'sub' / 'a.png'])
    (folder / 'broken.mp4').write_text('no video')
    with pytest.raises(ValueError, match='broken.mp4 cannot be opened as a video'):
        find_inputs([folder / 'broken.mp4'])


def test_hidden_files_are_no_inputs(folder):
    for name in ('images/._a.png', 'images/__MACOSX/a.png', 'images/.ipynb_checkpoints/a-checkpoint.png'):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b'junk')
    assert names(find_inputs([folder / 'images'])[0]) == ['a', 'b', 'sub/a']


def test_names_that_differ_in_the_kind_of_image_alone_keep_it(folder):
    for name in ('a.jpg', 'sub/a.JPG'):
        cv2.imwrite(str(folder / 'images' / name), np.zeros((32, 48, 3), np.uint8))
    assert names(find_inputs([folder / 'images'])[0]) == ['a.jpg', 'a.png', 'b', 'sub/a.JPG', 'sub/a.png']


def test_streams_are_inputs(folder, monkeypatch):
    address = 'rtsp://user:secret@camera.local:554/front door?token=1'
    camera, stream = find_inputs(['0', address])
    assert camera == Video('camera_0', (), stream=0)
    assert stream == Video('camera.local_front_door', (), stream=address)
    with pytest.raises(ValueError, match='would both be named host_a.mp4'):
        find_inputs(['rtsp://host/a', 'http://host/a.mp4'])
    # An existing file is no camera.
    monkeypatch.chdir(folder)
    (folder / '0').mkdir()
    cv2.imwrite('0/x.png', np.zeros((32, 48, 3), np.uint8))
    assert names(find_inputs(['0'])[0]) == ['x']


def test_streams_that_cannot_be_opened_are_named(folder):
    with pytest.raises(OSError, match='camera 97 cannot be opened: there is none of this number'):
        Stream(97)
    with pytest.raises(OSError, match='nothing can be read from localhost_none: ') as caught:
        Stream('http://user:secret@localhost:9/none.mp4')
    assert 'secret' not in str(caught.value)
