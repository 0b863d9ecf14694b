import cv2
import pytest

from tests.cli.calls import call
from tests.cli.test_preview import config_of, streets  # noqa: F401
from udass.cli import UsageError
from udass.cli.data import browse
from udass.visualization.pages import PAGE_WIDTH


def test_the_page_of_a_method_shows_samples_and_passes(streets, tmp_path, capsys):  # noqa: F811
    config_of('streets_quadmix', streets).dump(tmp_path / 'method.py')
    call(browse, tmp_path / 'method.py', '--out', tmp_path / 'new' / 'a.html', '--number', '2', '--iteration', '1')
    page = (tmp_path / 'new' / 'a.html').read_text()
    titles = [
        '<h2>Source</h2>',
        '<h2>Target</h2>',
        '<h2>Long tail</h2>',
        'Iteration 1, image 2',
        'drawn for',
        'to paste',
    ]
    for words in (*titles, 'TSS: target into source', 'TST: label', 'target: confidence', 'of random weights'):
        assert words in page, words
    assert page.count('<figure>') == 2 * 2 + 2 + 2 * 2 + 2 * (2 + 3 + 2 + 2)
    assert '2 source, 2 target, 2 long tail samples, and the passes of each iteration' in capsys.readouterr().out


def test_clips_are_drawn_with_their_flow(streets, tmp_path, capsys):  # noqa: F811
    config_of('streets_video_source_only', streets).dump(tmp_path / 'clips.py')
    options = ('--number', '1', '--cfg-options', 'train_cfg.domains=("source","target")')
    call(browse, tmp_path / 'clips.py', '--out', tmp_path / 'a.png', *options)
    assert '1 source, 1 target samples\n' in capsys.readouterr().out
    image = cv2.imread(str(tmp_path / 'a.png'))
    assert image.shape[1] == PAGE_WIDTH and image.shape[0] > 800


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--out', 'a.jpg'], r'--out must be a \*.png or \*.html file, got a.jpg'),
        (['--number', '0'], '--number must be at least 1'),
    ],
)
def test_bad_options_are_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        call(browse, 'a.py', *arguments)
