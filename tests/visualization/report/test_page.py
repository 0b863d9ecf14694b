"""The page: what is in it, and in a browser how it looks."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.calls import call, parse
from tests.visualization.report.runs import losses, write_log, write_two_runs
from udass.cli import UsageError
from udass.cli import report as report_tool
from udass.engine.config_files import open_test_dataset
from udass.io.settings import parse_settings
from udass.visualization.report import Run, read_methods, render_report
from udass.visualization.report.examples import prediction_file

PROJECT = Path(__file__).parents[3]
SECTIONS = ['summary', 'curves', 'unlabelled', 'classes', 'confusion', 'examples', 'panels', 'config', 'environment']
# Reports to the page around it how wide it is, what is wider than the window, and errors.
PROBE = """<script>
const errors = [];
addEventListener('error', event => errors.push(String(event.message || event.target.outerHTML)), true);
addEventListener('load', () => {
  const root = document.scrollingElement;
  const wide = [...document.querySelectorAll('body *')].filter(
    element => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.scroll'));
  parent.postMessage({width: innerWidth, client: root.clientWidth, scroll: root.scrollWidth, errors,
    wide: wide.map(element => element.outerHTML.slice(0, 80)),
    empty: [...document.images].filter(image => image.naturalWidth == 0).length,
    sections: [...document.querySelectorAll('section')].filter(part => part.offsetHeight > 20).map(part => part.id)
  }, '*');
});
</script>"""
FRAMES = """<body style="margin: 0">
<script>
const found = [];
addEventListener('message', event => { found.push(event.data);
  document.documentElement.dataset.found = JSON.stringify(found); });
</script>
<iframe src="page.html" style="border: 0; width: 390px; height: 844px"></iframe>
<iframe src="page.html" style="border: 0; width: 1280px; height: 800px"></iframe>
</body>"""


@pytest.fixture(scope='module')
def two_runs(tmp_path_factory):
    return write_two_runs(tmp_path_factory.mktemp('runs'))


@pytest.fixture(scope='module')
def page(two_runs):
    return render_report(read_methods(two_runs), open_test_dataset, examples=2)


def text_of(page):
    """Words of the page, without pictures and style."""
    return html.unescape(
        re.sub(r'\s+', ' ', re.sub(r'<style>.*?</style>|<svg.*?</svg>|<[^>]*>', ' ', page, flags=re.DOTALL))
    )


def test_the_page_has_all_sections_and_needs_nothing_else(page):
    assert re.findall(r'<section id="(\w+)"', page) == SECTIONS
    links = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\'\s)>]+)', page)
    assert {link.split(':')[0] if link.startswith('data:') else link[0] for link in links} == {'data', '#'}
    assert '<script' not in page and '@import' not in page


def test_names_are_text_and_not_markup(page, two_runs):
    assert '<b>tags' not in page
    assert two_runs[1].name in text_of(page.replace('<wbr>', ''))


def test_the_numbers_are_in_it(page):
    words = text_of(page)
    # Of each method the mean of 50 and 25, and the mIoU of the worst of four images: (9/16 + 3/11) / 2.
    assert '37.5 60.0 70.0 41.8 1 2' in words
    assert 'Most frequent: car as road (30 %), road as car (10 %), car as tree (10 %)' in words
    # The two bad images, one of each method, are drawn equally often on the average.
    assert re.search(r'plain_ baseline \+0\.0 \[-([\d.]+), \+\1\] \+0\.0 \[.*?\] 1 undecided', words)
    assert 'model.ema.alpha - 0.99' in words
    gains, losses = words.split('Largest gains')[1].split('Largest losses')
    assert re.findall(r'(street_\d)\.png: ([+-][\d.]+)', gains) == [('street_0', '+20.0'), ('street_1', '+5.0')]
    assert re.findall(r'(street_\d)\.png: ([+-][\d.]+)', losses) == [('street_3', '-35.0')]
    assert 'iteration 4,000' in words and 'Python 3.11.7 (main)' in words
    assert 'Not here yet' not in words
    # Of each example image, truth and two predictions; of each run two panels.
    assert page.count('<img') == 3 * 4 + 2 * 2


def test_what_is_seen_without_labels_is_a_table(tmp_path):
    folders = []
    for number, (miou, infomax) in enumerate(((30.0, 0.5), (40.0, 0.9), (35.0, 0.7))):
        folder = tmp_path / f'run_{number}'
        records = [*losses({1: 2.0}), {'mIoU': miou, 'InfoMax': infomax, 'step': 1}]
        by_class = {
            'pseudo_labels.share.road': 0.75,
            'pseudo_labels.accuracy.road': 0.5,
            'pseudo_labels.share.car': 0.25,
        }
        write_log(folder, [*records, {'step': 1, **by_class}])
        (folder / 'test.json').write_text(json.dumps({'mIoU': miou}))
        (folder / 'predictions').mkdir()
        # Half of the pixels of the last run are not what the others predict.
        pixels = np.array([[1, 1 if number < 2 else 0]], np.uint8)
        Image.fromarray(pixels).save(folder / 'predictions' / 'a.png')
        folders.append(folder)
    words = text_of(render_report(read_methods(folders), open_test_dataset))
    assert 'run_ 1 40.0 0.9 100 run_ 2 35.0 0.7 50 rank correlation with mIoU +1.00 +0.00' in words
    assert 'Pseudo-labels of run_ 2' in words and 'road 75.0 50.0 car 25.0 -' in words


def test_several_test_sets_have_a_table_each(tmp_path):
    """And the examples are found in the data set that holds them."""
    runs = write_two_runs(tmp_path)
    tables = {'day': dict(mIoU=40.5, IoU=dict(road=61.5, car=19.5)), 'night': dict(mIoU=30.5, IoU=dict(road=30.5))}
    for run in runs:
        result = json.loads((run / 'test.json').read_text())
        result |= {'datasets': tables, 'mIoU_day': 40.5, 'mIoU_night': 30.5}
        (run / 'test.json').write_text(json.dumps(result))
        file = run / '20260101_000000/vis_data/config.py'
        config = parse_settings(file.read_text(), file)
        dataset = config['test_dataloader']['dataset']
        parts = [{**dataset, 'indices': indices} for indices in ([0], [1, 2, 3])]
        joined = dict(type='ConcatDataset', names=['day', 'night'], datasets=parts)
        file.write_text(f'test_dataloader = {dict(dataset=joined)!r}')
    words = text_of(render_report(read_methods(runs), open_test_dataset, examples=2))
    assert 'mIoU_day mIoU_night' in words
    _, mean, day, night = re.split('mean of 2 test sets|day class|night class', words.split('IoU by class')[1])
    assert 'road 50.0 50.0' in mean and 'road 61.5 61.5 +0.0 car 19.5 19.5 +0.0 mean 40.5 40.5 +0.0' in day
    assert 'road 30.5 30.5 +0.0 mean 30.5' in night
    assert 'street_0.png: +20.0' in words and 'street_3.png: -35.0' in words


def test_a_run_without_tests_says_what_is_missing(tmp_path):
    write_log(tmp_path / 'run', losses({1: 2.0, 2: 1.0}))
    words = text_of(render_report(read_methods([tmp_path / 'run']), open_test_dataset))
    assert (
        'scores of a test; confusion matrix and scores by image; pixel counts by image, for intervals; predictions,'
        in words
    )
    assert f'udass test CONFIG {tmp_path}/run/CHECKPOINT.pth' in words
    assert 'There is no test yet' in words and 'No run has panels' in words


def test_images_that_are_gone_are_said_and_the_rest_is_shown(tmp_path):
    runs = write_two_runs(tmp_path)
    shutil.rmtree(tmp_path / 'data')
    words = text_of(render_report(read_methods(runs), open_test_dataset))
    assert 'The test images cannot be read from here' in words and 'Most frequent: car as road' in words


def test_one_run_shows_its_best_and_worst_images(two_runs):
    words = text_of(render_report(read_methods(two_runs[:1]), open_test_dataset, examples=1))
    best, worst = words.split('Best images')[1].split('Worst images')
    assert 'street_3.png' in best and 'plain_baseline: 40.0' in best and 'street_0.png' in worst
    assert 'setting that differs' not in words


def test_the_tool_writes_the_page_and_refuses_what_is_no_run(two_runs, tmp_path, capsys):
    out = call(report_tool, two_runs[0], '--out', tmp_path / 'new' / 'a.html')
    assert out.read_text().startswith('<!DOCTYPE html>') and 'a.html: plain_baseline' in capsys.readouterr().out
    assert parse('report', 'x').out is None
    with pytest.raises(ValueError, match='holds no run'):
        call(report_tool, tmp_path / 'new')
    with pytest.raises(UsageError, match='must not be negative'):
        call(report_tool, 'x', '--examples', '-1')


def chromium():
    """Path of a Chromium, or a skip that says why."""
    found = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
    if found is None:
        pytest.skip('no Chromium to open the page in: apt-get install chromium')
    return found


def in_browser(folder, page):
    """What the page reports of itself at the width of a phone and of a desktop, and what the console says."""
    (folder / 'page.html').write_text(page.replace('<meta charset="utf-8">', f'<meta charset="utf-8">{PROBE}'))
    (folder / 'frames.html').write_text(FRAMES)
    command = [
        chromium(),
        '--headless',
        '--disable-gpu',
        '--disable-dev-shm-usage',
        '--hide-scrollbars',
        f'--user-data-dir={folder / "profile"}',
        '--enable-logging=stderr',
        '--virtual-time-budget=5000',
        *(['--no-sandbox'] if os.geteuid() == 0 else []),
        '--dump-dom',
        (folder / 'frames.html').as_uri(),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    found = re.search(r'data-found="([^"]*)"', result.stdout)
    assert found, f'the page did not load in Chromium:\n{result.stderr[-2000:]}'
    reports = sorted(json.loads(html.unescape(found.group(1))), key=lambda report: report['width'])
    return reports, [line for line in result.stderr.splitlines() if 'CONSOLE' in line]


@pytest.mark.slow
def test_in_a_browser_nothing_is_wider_than_the_window_and_nothing_fails(page, tmp_path):
    reports, console = in_browser(tmp_path, page)
    assert console == []
    assert [report['width'] for report in reports] == [390, 1280]
    for report in reports:
        assert report['wide'] == [] and report['scroll'] <= report['client']
        assert report['errors'] == [] and report['empty'] == 0
        assert report['sections'] == SECTIONS


@pytest.mark.slow
def test_the_browser_test_sees_what_is_wrong(page, tmp_path):
    broken = page.replace(
        '</main>',
        '<p style="width: 900px">wide</p><img src="none.png"></main>'
        '<script>console.error("complaint"); missing()</script>',
    )
    reports, console = in_browser(tmp_path, broken)
    assert reports[0]['scroll'] == 916 and 'wide' in reports[0]['wide'][0] and reports[0]['empty'] == 1
    assert any('missing is not defined' in message for message in reports[0]['errors'])
    assert any('complaint' in line for line in console)


def test_a_prediction_is_that_of_its_image(tmp_path):
    images = [tmp_path / 'images' / part / '000.png' for part in ('day', 'night')]
    (tmp_path / 'run').mkdir()
    items = [dict(image=str(image), mIoU=1.0, IoU=[1.0], prediction=f'{image.parent.name}/000.png') for image in images]
    run = Run(folder=tmp_path, details=dict(images=items), predictions=tmp_path / 'predictions')
    assert [prediction_file(run, str(image)) for image in images] == ['day/000.png', 'night/000.png']
    # As tests wrote them before, by the name alone.
    for item in items:
        del item['prediction']
    with pytest.raises(ValueError, match='several test images have the name 000'):
        prediction_file(run, str(images[0]))
    assert prediction_file(Run(folder=tmp_path, details=dict(images=items[:1])), str(images[0])) == '000.png'
