import cv2
import pytest

from tests.cli.test_preview import config_of, streets  # noqa: F401
from tools import browse_data


def call(*arguments):
    browse_data.browse(browse_data.parse_args(list(map(str, arguments))))


def test_the_page_of_a_method_shows_samples_and_passes(streets, tmp_path, capsys):  # noqa: F811
    config_of('streets_quadmix', streets).dump(tmp_path / 'method.py')
    call(tmp_path / 'method.py', '--out', tmp_path / 'new' / 'a.html', '--number', '2', '--iteration', '1')
    page = (tmp_path / 'new' / 'a.html').read_text()
    for words in (
        '<h2>Source</h2>',
        '<h2>Target</h2>',
        '<h2>Long tail</h2>',
        'Iteration 1, image 2',
        'drawn for',
        'to paste',
        'TSS: target into source',
        'TST: label',
        'target: confidence',
        'of random weights',
    ):
        assert words in page, words
    assert page.count('<figure>') == 2 * 2 + 2 + 2 * 2 + 2 * (2 + 3 + 2 + 2)
    assert '2 source, 2 target, 2 long tail samples, and the passes of each iteration' in capsys.readouterr().out


def test_clips_are_drawn_with_their_flow(streets, tmp_path, capsys):  # noqa: F811
    config_of('streets_video_source_only', streets).dump(tmp_path / 'clips.py')
    call(
        tmp_path / 'clips.py',
        '--out',
        tmp_path / 'a.png',
        '--number',
        '1',
        '--cfg-options',
        'train_cfg.domains=("source","target")',
    )
    assert '1 source, 1 target samples\n' in capsys.readouterr().out
    picture = cv2.imread(str(tmp_path / 'a.png'))
    assert picture.shape[1] == browse_data.PAGE_WIDTH and picture.shape[0] > 800


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--out', 'a.jpg'], r'--out is a *.png or *.html file, got a.jpg'),
        (['--number', '0'], '--number is at least 1'),
    ],
)
def test_bad_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        browse_data.parse_args(['a.py', *arguments])
    assert message in capsys.readouterr().err
