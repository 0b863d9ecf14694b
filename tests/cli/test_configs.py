"""Published configs by name: listed, copied, found."""

import pytest

from tests.cli.calls import call
from udass.cli import configs
from udass.engine.config import load_config
from udass.io.published import CONFIGS, find_config

ENTRY = dict(benchmark='GTA to Cityscapes', method='MIC', network='DAFormer, MiT-B5')
ENTRY |= dict(parameters=85_690_000, flops=1.5e12)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_table_shows_published_and_own_scores():
    published, ours = {'mIoU16': 67.3, 'mIoU13': 74.0}, {'mean': 10.11, 'std': 0.93}
    entries = {'a': {**ENTRY, 'published': published, 'ours': None}, 'b': {**ENTRY, 'published': None, 'ours': ours}}
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in configs.to_text(entries).splitlines()]
    scores = ['67.3 (mIoU16), 74.0 (mIoU13)', '', '85.7 M', '1500 G']
    assert rows[3] == ['a', 'MIC', 'DAFormer, MiT-B5', 'GTA to Cityscapes', *scores]
    assert rows[4][-3] == '10.1 ± 0.9'


def test_words_choose_configs(capsys):
    call(configs, 'quadmix', 'viper')
    said = capsys.readouterr().out
    assert 'viper2csseq_quadmix' in said and '58.2' in said and 'gta2cs' not in said and 'viper2csseq_tps' not in said
    call(configs, 'no such word')
    assert capsys.readouterr().out == 'no config has all of: no such word (udass configs lists all)\n'


@pytest.mark.parametrize('name', ['streets_quadmix', 'viper2csseq_quadmix_cnn'])
def test_a_copy_is_the_same_config_in_one_file(name, folder, capsys):
    call(configs, '--copy', name)
    assert '_base_' not in (folder / f'{name}.py').read_text() and f'udass train {name}.py' in capsys.readouterr().out
    original = load_config(name).to_dict()
    copied = load_config(folder / f'{name}.py').to_dict()
    assert copied == {key: original[key] for key in copied} and {'model', 'train_cfg', 'randomness'} <= copied.keys()
    with pytest.raises(FileExistsError, match='delete it, or give another name with --out'):
        call(configs, '--copy', name)
    call(configs, '--copy', name, '--out', 'other/mine.py')
    assert (folder / 'other' / 'mine.py').is_file()


def test_a_config_is_found_by_its_file_and_by_its_name(folder):
    (folder / 'mine.py').touch()
    assert find_config('mine.py').resolve() == folder / 'mine.py'
    assert find_config('gta2cs_quadmix') == CONFIGS / 'gta2cs_quadmix.py'
    for wrong in ('gta2cs_quadmics', 'configs/gta2cs_quadmics.py'):
        with pytest.raises(FileNotFoundError, match='udass configs.* Did you mean gta2cs_quadmix'):
            find_config(wrong)
    with pytest.raises(FileNotFoundError):
        find_config('_base_/uda/quadmix')
