"""``udass adapt`` from two folders to labels of the target."""

from pathlib import Path

import cv2
import pytest
import torch

import udass
from tests.cli.adapt.files import write_colours, write_folder, write_image, write_video
from udass.cli.adapt import command
from udass.cli.adapt.plan import choose_network
from udass.cli.experiments import experiment
from udass.cli.main import main


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Source and target, and an empty folder to work in."""
    write_folder(tmp_path / 'source', values=(0, 1, 2, 255))
    for number in range(3):
        write_image(tmp_path / 'target' / f'{number}.png', 10 + number, size=(20, 24))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tools(monkeypatch):
    """The commands that are started, run in this process; a name in ``stop`` is interrupted instead."""

    class Tools:
        started, stop = [], set()

        def __call__(self, name, arguments):
            self.started.append(name)
            if name in self.stop:
                raise KeyboardInterrupt
            main([name, *arguments])

    Tools.started, Tools.stop = [], set()
    tools = Tools()
    for module in (command, experiment):
        monkeypatch.setattr(module, 'run_tool', tools)
    return tools


def adapt(*more):
    main(['adapt', 'source', 'target', '--network', 'resnet10t', '--iterations', '2', '--yes', *more])


@pytest.mark.slow
def test_two_folders_become_labels_and_pages_and_an_interrupt_loses_nothing(folders, tools, capsys):
    tools.stop = {'infer'}
    with pytest.raises(SystemExit) as stop:
        adapt('--out', 'out', '--only', 'adapted')
    assert stop.value.code == 130 and tools.started == ['train', 'infer']
    said = capsys.readouterr()
    assert 'The same command goes on' in said.err
    plan = (folders / 'out' / 'plan.txt').read_text()
    assert plan in said.out
    assert 'percent of the labelled pixels: class_0 33.3, class_1 33.3, class_2 33.3' in plan
    assert '3 labelled images, most of 24x16' in plan and '3 images without labels, most of 24x20' in plan
    tools.stop = set()
    adapt('--out', 'out', '--only', 'adapted')
    assert tools.started == ['train', 'infer', 'infer'], 'a finished training was repeated'
    for number in range(3):
        ids = cv2.imread(str(folders / 'out' / 'adapted' / 'target' / 'ids' / f'{number}.png'), cv2.IMREAD_UNCHANGED)
        assert ids.shape == (20, 24) and ids.max() <= 2
        assert (folders / 'out' / 'adapted' / 'target' / 'overlays' / f'{number}.png').is_file()
    for page in ('target.html', 'report.html'):
        assert '</html>' in (folders / 'out' / page).read_text().lower()
    # The config does the same again.
    again = torch.load(udass.train(folders / 'out' / 'adapted.py', work_dir='again'), weights_only=True)
    before = torch.load(folders / 'out' / 'adapted' / 'iter_2.pth', weights_only=True)
    assert again['state_dict'].keys() == before['state_dict'].keys()
    for name, value in before['state_dict'].items():
        assert not isinstance(value, torch.Tensor) or torch.equal(value, again['state_dict'][name]), name
    # Another request is refused, the other half of the same one is not.
    with pytest.raises(SystemExit, match=r'out holds another run \(seed: 0 there, 1 now\)'):
        adapt('--out', 'out', '--seed', '1')


@pytest.mark.slow
def test_colours_become_labels_of_a_video_and_a_labelled_folder_scores_both_networks(folders, tools, capsys):
    for folder in ('coloured', 'test'):
        for number in range(3):
            write_image(folders / folder / f'{number}.jpg', number)
            write_colours(folders / folder / f'{number}.png', [(0, 0, 142), (128, 64, 128), (0, 0, 0)])
    (folders / 'coloured' / 'classes.txt').write_text('road 128 64 128\ncar 0 0 142\nignore 0 0 0\n')
    write_video(folders / 'drive.avi', frames=4)
    main(['adapt', 'coloured', 'drive.avi', '--test', 'test', '--network', 'resnet10t', '--iterations', '2', '--yes'])
    said = capsys.readouterr().out
    out = folders / 'work_dirs' / 'adapt_drive'
    for name in ('source_only', 'adapted'):
        assert f'{name:<12} mIoU' in said
        assert len([*(out / name / 'predictions').iterdir()]) == 3
        assert len([*(out / name / 'target' / 'ids' / 'drive').iterdir()]) == 4
        assert (out / name / 'target' / 'drive.mp4').stat().st_size > 0
    assert f'{Path("work_dirs/adapt_drive/adapted/target/drive.mp4")}: the classes in colour' in said
    assert tools.started == ['train', 'test', 'infer'] * 2
    label = cv2.imread(str(out / 'labels' / 'source' / '0.png'), cv2.IMREAD_UNCHANGED)
    assert label[0, [0, 8, 16]].tolist() == [1, 0, 255]
    assert 'Largest gains of adapted over source_only' in (out / 'report.html').read_text()
    # What was made for the folder of the source stays in that of the results.
    assert sorted(path.suffix for path in (folders / 'coloured').iterdir()) == ['.jpg'] * 3 + ['.png'] * 3 + ['.txt']


@pytest.mark.slow
def test_a_dry_run_prints_the_plan_and_writes_nothing(folders, capsys):
    adapt('--dry-run')
    said = capsys.readouterr().out
    assert 'training  2 iterations of quadmix' in said and 'source_only 1 min, adapted 1 min' in said
    assert sorted(path.name for path in folders.iterdir()) == ['source', 'target']


def test_a_folder_with_other_files_is_left_alone(folders):
    with pytest.raises(SystemExit, match='source holds other files than those of udass adapt'):
        adapt('--out', 'source')
    with pytest.raises(SystemExit, match='2'):
        main(['adapt', 'source', 'target', '--iterations', '0'])


def test_an_error_leaves_a_folder_that_the_corrected_call_can_use(folders, monkeypatch):
    (folders / 'source' / 'labels' / '1.png').rename(folders / '1.png')
    with pytest.raises(SystemExit, match=r'images/1\.png has no label'):
        adapt('--out', 'out')
    (folders / '1.png').rename(folders / 'source' / 'labels' / '1.png')
    monkeypatch.setattr(command, 'measure', lambda config: command.Step(1, 0))
    monkeypatch.setattr(command, 'confirmed', lambda: False)
    main(['adapt', 'source', 'target', '--network', 'resnet10t', '--out', 'out'])
    assert sorted(path.name for path in (folders / 'out').iterdir()) == [
        'adapt.json',
        'adapted.py',
        'plan.txt',
        'source_only.py',
    ]


def test_without_weights_a_small_network_starts_from_scratch_with_a_warning(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setenv('UDASS_WEIGHTS', str(tmp_path / 'gone.pth'))
    name, warning = choose_network(None)
    assert name == 'resnet10t' and 'Expect clearly lower scores' in warning and 'gone.pth' in warning
    with pytest.raises(OSError, match='gone.pth'):
        choose_network('efficientnet_lite0')
    (tmp_path / 'gone.pth').touch()
    assert choose_network(None) == ('efficientnet_lite0', None)


def test_the_network_is_the_largest_that_fits_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr('udass.cli.adapt.plan.fetch', lambda network: None)
    for free, name in {40: 'daformer_b5', 8: 'segformer_b0', 2: 'efficientnet_lite0'}.items():
        monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda free=free: (free * 2**30, 80 * 2**30))
        assert choose_network(None) == (name, None)
