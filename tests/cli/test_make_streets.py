"""tools/make_streets.py: which images it writes."""

import pytest

from udass.cli.main import main


def test_counts_name_the_images_of_each_domain_and_split(tmp_path, capsys):
    arguments = [
        '--root',
        str(tmp_path),
        '--size',
        '32',
        '48',
        '--workers',
        '1',
        '--counts',
        'game/train=2',
        'game/val=1',
        'camera/val=3',
    ]
    main(['streets', *arguments])
    assert '6 drawn' in capsys.readouterr().out
    found = {
        folder: len(list((tmp_path / folder / 'images').iterdir()))
        for folder in ('game/train', 'game/val', 'camera/val')
    }
    assert found == {'game/train': 2, 'game/val': 1, 'camera/val': 3}
    assert not (tmp_path / 'camera' / 'train').exists()


def test_clips_are_counted_like_images(tmp_path):
    arguments = ['--root', str(tmp_path), '--size', '32', '48', '--workers', '1', '--counts', 'game/train=1']
    main(['streets', *arguments, '--clips', 'game/train=2'])
    assert sorted(path.name for path in (tmp_path / 'game_clips' / 'train').iterdir()) == ['0000', '0001']
    assert not (tmp_path / 'camera_clips').exists()


@pytest.mark.parametrize('count', ['game=600', 'game/train', 'game/train=-1', 'game/train=many'])
def test_a_count_of_another_form_is_named(count, capsys):
    with pytest.raises(SystemExit):
        main(['streets', '--counts', count])
    assert f"'{count}' is not of the form DOMAIN/SPLIT=N, for example game/train=600" in capsys.readouterr().err
