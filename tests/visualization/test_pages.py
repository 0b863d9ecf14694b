import base64
import re

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from udass.visualization.canvas import Tile, text_width, wrap
from udass.visualization.pages import PAGE_WIDTH, Section, draw_page, html_page
from udass.visualization.samples import flow_legend, flow_tile, panel_tiles, sample_tiles

CLASSES = ('road', 'sky', 'car')
PALETTE = ((128, 64, 128), (70, 130, 180), (0, 0, 142))


def tile(colour, caption='a caption'):
    return Tile(np.full((20, 40, 3), colour, np.uint8), caption)


def area(picture, colour):
    return (picture == np.array(colour)).all(-1).sum()


def test_a_page_shows_every_tile_in_its_size_and_keeps_groups_together():
    groups = [[tile((200, 0, number)) for number in range(4)], [tile((0, 200, number)) for number in range(4)]]
    key = np.full((10, PAGE_WIDTH, 3), (1, 2, 3), np.uint8)
    picture = draw_page([Section('A title', 'a note', groups)], [key])
    assert picture.shape[1] == PAGE_WIDTH and area(picture, (1, 2, 3)) == 10 * PAGE_WIDTH
    for colour in [(200, 0, 3), (0, 200, 0), (0, 200, 3)]:
        assert area(picture, colour) == 260 * 130
    tops = [np.nonzero((picture == colour).all(-1))[0].min() for colour in ((200, 0, 0), (200, 0, 3), (0, 200, 0))]
    assert tops[0] == tops[1] < tops[2], 'the second group does not fit beside the first'


def test_long_groups_and_captions_are_wrapped():
    section = Section('t', 'n', [[tile((200, 0, number), 'word ' * 30 + 'x' * 90) for number in range(8)]])
    picture = draw_page([section])
    assert all(area(picture, (200, 0, number)) == 260 * 130 for number in range(8))
    columns = np.nonzero((picture < 100).all(-1).any(0))[0]
    assert columns.max() < PAGE_WIDTH - 1 and all(
        text_width(line, 14) <= 260 for line in wrap('word ' * 30 + 'x' * 90, 260, 14)
    )


def test_the_html_page_holds_its_images_and_escapes_text():
    page = html_page('a <title>', 'intro & more', [Section('S', 'n', [[tile((9, 8, 7), '<b>')]])], CLASSES, PALETTE)
    assert 'a &lt;title&gt;' in page and 'intro &amp; more' in page and '<figcaption>&lt;b&gt;</figcaption>' in page
    assert 'background: #804080' in page and 'viewport' in page
    assert not re.search(r'(src|href)="(?!data:)', page), 'nothing is fetched'
    data = base64.b64decode(re.search(r'base64,([^"]+)"', page)[1])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[0, 0].tolist() == [7, 8, 9]


def sample(**data):
    made = SegDataSample(metainfo=dict(img_path='x/1.png', **data.pop('meta', {})))
    made.set_data({name: value if 'flow' in name else PixelData(data=value) for name, value in data.items()})
    return made


def test_an_image_is_drawn_with_its_label_what_it_was_drawn_for_and_where_it_is_trusted():
    inputs = torch.zeros(3, 4, 8, dtype=torch.uint8)
    inputs[0] = 200  # blue
    label, trusted = torch.full((1, 4, 8), 2), torch.ones(1, 4, 8, dtype=torch.bool)
    label[:, :, :4], trusted[:, :1] = 255, False
    image, overlay, mask = sample_tiles(
        inputs, sample(gt_sem_seg=label, valid_pseudo_mask=trusted, meta=dict(rare_class=2)), CLASSES, PALETTE
    )
    assert image.caption == '1.png, drawn for car' and image.image[0, 0].tolist() == [0, 0, 200]
    assert overlay.caption == 'label, 50% ignored'
    assert overlay.image[0, 0].tolist() == [0, 0, 200] and overlay.image[0, 7].tolist() == [0, 0, 165]
    assert mask.caption == 'pseudo-labels trusted in 75%' and mask.image[0, 0].tolist() == [0, 0, 50]


def test_a_clip_is_drawn_with_all_frames_and_flows():
    labels = torch.zeros(4, 4, 8, dtype=torch.long)
    labels[1:] = 255
    flow = torch.zeros(3, 2, 4, 8)
    flow[1, 0] = 3.0
    flow[1, 1] = 4.0
    paths = [f'x/{number}.png' for number in (9, 8, 7, 6)]
    tiles = sample_tiles(
        torch.zeros(4, 3, 4, 8, dtype=torch.uint8),
        sample(
            gt_sem_seg=labels,
            flow=flow,
            past_flow=torch.ones(1, 2, 4, 8),
            meta=dict(frame_paths=paths, paste_class=1, rare_class=1),
        ),
        CLASSES,
        PALETTE,
    )
    assert [one.caption for one in tiles] == [
        't: 9.png, to paste sky',
        'label, 0% ignored',
        't-1: 8.png',
        't-k: 7.png',
        't-k-1: 6.png',
        'flow to t-1, at most 0.0 px',
        'flow to t-k, at most 5.0 px',
        'flow to t-k-1, at most 0.0 px',
        'flow of the past pair, at most 1.4 px',
    ]


def test_opposite_motions_have_different_colours_and_none_is_white():
    right = torch.zeros(2, 4, 8)
    right[0] = 2.0
    assert not np.array_equal(flow_tile(right, 'f').image, flow_tile(-right, 'f').image)
    assert (flow_tile(torch.zeros(2, 4, 8), 'f').image == 255).all()
    assert len(np.unique(flow_legend(600).reshape(-1, 3), axis=0)) > 1000


def test_passes_are_grouped_by_pass_and_show_the_frame_before():
    def panel(value, frames=1, confidence=False, flow=False):
        return dict(
            frames=torch.full((2, frames, 3, 4, 8), float(value)),
            labels=torch.ones(2, frames, 4, 8),
            confidence=torch.rand(2, frames, 4, 8) if confidence else None,
            flow=torch.ones(2, 1, 2, 4, 8) if flow else None,
        )

    panels = {'mix': panel(1, frames=2, flow=True), 'source': panel(2), 'target': panel(3, confidence=True)}
    panels['mix']['labels'] = panels['mix']['labels'].long()
    groups = panel_tiles({name: {**one, 'labels': one['labels'].long()} for name, one in panels.items()}, 1, PALETTE)
    assert [[one.caption for one in group] for group in groups] == [
        ['source', 'source: label'],
        ['target', 'target: pseudo-label', 'target: confidence'],
        ['mixed', 'mixed: label', 'mixed: frame t-1', 'mixed: flow to t-1, at most 1.4 px'],
    ]
    assert groups[0][0].image[0, 0].tolist() == [2] * 3
    assert panel_tiles({'source': {**panels['source'], 'labels': panels['source']['labels'].long()}}, 2, PALETTE) == []


@pytest.mark.parametrize('text', ['', 'one'])
def test_captions_may_be_short(text):
    assert draw_page([Section('t', text, [[tile(3, text)]])]).shape[1] == PAGE_WIDTH
