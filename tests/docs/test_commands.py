"""Every command in the documentation: its tool exists and takes its arguments, its config exists and has its keys."""

import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from mmengine.config import Config

from tests.docs.commands import PAGES, PROJECT, Command, expand, read_commands, split
from udass.cli import report
from udass.cli.experiments import seeds
from udass.cli.main import COMMANDS as KNOWN
from udass.cli.main import build_parser
from udass.engine.config import check_components, load_config
from udass.io.published import find_config

COMMANDS = [command for page in PAGES for command in read_commands(page)]
# Words in capitals stand for something of the reader's.
PLACEHOLDER = re.compile(r'[A-Z][A-Z_]+(\.\w+)?')
# Configs that a page has the reader write.
WRITTEN = {
    'docs/add_a_method.md': {'configs/streets_cutmix.py'},
    'docs/use_a_network.md': {'configs/my_images.py'},
    'docs/configs.md': {'mine.py'},
    'docs/adapt.md': {'work_dirs/drive/adapted.py'},
}
# Take options that a page names in its text, for one of these.
TYPICAL = ['gta2cs_quadmix', 'streets_quadmix', 'gta2cs_quadmix_vfmuda_dinov3', 'cs2acdc_quadmix']


def own_commands():
    return [command for command in COMMANDS if command.words[0] == 'udass']


def names(commands):
    return [str(command)[:100] for command in commands]


def config_files(args):
    """Values of what a command calls its configs."""
    found = [getattr(args, name, None) for name in ('config', 'check')]
    return [value for value in (*found, *getattr(args, 'configs', ())) if isinstance(value, str)]


def as_mapping(options):
    """Options of a parser with DictAction, or the words that seeds and demo hand on."""
    return options if isinstance(options, dict) else dict(word.split('=', 1) for word in options)


@pytest.mark.parametrize('command', own_commands(), ids=names(own_commands()))
def test_udass_takes_the_command(command, monkeypatch):
    monkeypatch.chdir(PROJECT)
    args = build_parser()[0].parse_args(command.words[1:])
    written = WRITTEN.get(command.page, set())
    for config in config_files(args):
        if not PLACEHOLDER.fullmatch(config) and config not in written:
            assert find_config(config).is_file()
            if getattr(args, 'cfg_options', None):
                load_config(config, as_mapping(args.cfg_options))


def test_every_command_is_of_a_known_kind():
    targets = set(re.findall(r'^([\w-]+):', (PROJECT / 'Makefile').read_text(), re.MULTILINE))
    for command in COMMANDS:
        # Variables of the environment may stand in front.
        program, *rest = itertools.dropwhile(lambda word: re.match(r'[A-Z_]+=', word), command.words)
        if program == 'make':
            assert set(rest) <= targets, f'{command}: the Makefile has {sorted(targets)}'
        elif program == 'python' and rest[0] == '-m':
            assert importlib.util.find_spec(rest[1]) is not None, f'{command}: there is no module {rest[1]}'
        elif program.endswith('.sh'):
            assert os.access(PROJECT / program, os.X_OK), f'{command}: {program} cannot be run'
            for config in (word for word in rest if word.startswith('configs/')):
                assert (PROJECT / config).is_file(), f'{command}: there is no {config}'
        else:
            assert program in ('udass', 'python', 'source', 'pip', 'torchrun'), (
                f'{command}: how is {program} to be checked?'
            )
    assert len(own_commands()) > 40
    assert {command.words[1] for command in own_commands()} <= KNOWN.keys()


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_options_that_the_text_names_exist(page):
    """`--cfg-options KEY=VALUE` within a sentence."""
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
    for options in re.findall(r'`--cfg-options ([^`]*)`', text):
        given = as_mapping([word for word in split(options) if '=' in word and word != 'KEY=VALUE'])
        problems = []
        for name in TYPICAL if given else ():
            try:
                load_config(PROJECT / 'configs' / f'{name}.py', given)
                break
            except ValueError as error:
                problems.append(str(error))
        assert len(problems) < len(TYPICAL), f'{page.name}: --cfg-options {options}: {problems}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        path, _, anchor = link.partition('#')
        if '://' in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{page.name} links to {link}'
        if anchor:
            headings = re.findall(r'^#+ (.*)$', target.read_text(), re.MULTILINE)
            known = {re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings}
            assert anchor in known, f'{page.name} links to {link}; there are {sorted(known)}'


def config_examples():
    pages = [PROJECT / 'docs' / name for name in ('configs.md', 'data_sets.md')]
    return [block for page in pages for block in re.findall(r'```python\n(_base_.*?)```', page.read_text(), re.DOTALL)]


@pytest.mark.parametrize('number', range(5))
def test_configs_in_the_text_load(number, tmp_path):
    shutil.copytree(PROJECT / 'configs', tmp_path / 'configs')
    (tmp_path / 'configs' / 'example.py').write_text(config_examples()[number])
    check_components(load_config(tmp_path / 'configs' / 'example.py').to_dict())
    assert len(config_examples()) == 5


def test_settings_that_configs_md_lists_exist():
    config = Config.fromfile(PROJECT / 'configs' / 'streets_quadmix.py')
    table = (PROJECT / 'docs' / 'configs.md').read_text().split('| setting | what |')[1].split('\n\n')[0]
    keys = [
        key
        for row in table.splitlines()
        if row.startswith('| `')
        for key in re.findall(r'`([\w.]+\.\w+)`', row.split(' | ')[0])
    ]
    assert len(keys) > 8
    load_config(PROJECT / 'configs' / 'streets_quadmix.py', {key: value_at(config, key) for key in keys})


def value_at(node, key):
    for part in key.split('.'):
        node = node[int(part)] if isinstance(node, list) else node.get(part)
    return node


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A working folder with the raw results and what their commands need."""
    shutil.copytree(PROJECT / 'docs' / 'results', tmp_path / 'docs' / 'results')
    (tmp_path / 'configs').symlink_to(PROJECT / 'configs')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'docs' / 'results'


def test_the_page_of_the_raw_results_is_made(results):
    command = Command('docs/reproduce.md', ('udass', 'report', 'docs/results', '--out', 'results.html'))
    assert command in COMMANDS
    report.run(build_parser()[0].parse_args(command.words[1:]))
    page = Path('results.html').read_text()
    assert '9.8 ± 1.0' in page and '32.1 ± 0.7' in page


@pytest.mark.slow
def test_the_command_of_the_raw_results_makes_their_summary(results):
    """Nothing is trained: finished runs are kept."""
    command = next(one for one in COMMANDS if one.page == 'docs/results/README.md' and one.words[-1] == 'docs/results')
    before = (results / 'summary.md').read_text(), json.loads((results / 'summary.json').read_text())
    (results / 'summary.md').unlink()
    seeds.run(build_parser()[0].parse_args(command.words[1:]))
    assert ((results / 'summary.md').read_text(), json.loads((results / 'summary.json').read_text())) == before


def test_commands_are_split_as_the_shell_does(tmp_path):
    assert expand('a_{b,c}{1,2}.py') == ['a_b1.py', 'a_b2.py', 'a_c1.py', 'a_c2.py']
    assert expand('{{_base_.x}}') == ['{{_base_.x}}']
    assert split("tool 'two words' x={a,b}  # comment") == ['tool', 'two words', 'x=a', 'x=b']
    line = subprocess.run(['bash', '-c', 'printf "%s\\n" configs/camvid_{dacs,mic}.py'], capture_output=True, text=True)
    assert line.stdout.split() == expand('configs/camvid_{dacs,mic}.py')
