import cv2
import numpy as np

from tests.cli.calls import parse
from udass.cli.experiments import demo


def test_the_report_names_both_scores_and_the_gain(tmp_path):
    results = {
        'source-only': {'mIoU': 31.25, 'images': 60, 'train_seconds': 61.0},
        'QuadMix': {'mIoU': 40.5, 'images': 60, 'train_seconds': 130.0},
    }
    text = demo.report(results, tmp_path / 'comparison.png', 200.4)
    lines = [line.split() for line in text.splitlines()]
    assert ['source-only', '31.25', '(trained', 'in', '61', 's)'] in lines
    assert ['QuadMix', '40.50', '(trained', 'in', '130', 's)'] in lines
    assert ['gain', '+9.25'] in lines
    assert str(tmp_path / 'comparison.png') in text


def test_the_picture_shows_evenly_spaced_images_with_both_predictions(tmp_path, monkeypatch):
    class Sample:
        class gt_sem_seg:
            import torch

            data = torch.full((1, 8, 16), 2)

    class Dataset:
        metainfo = {'classes': ('a', 'b', 'c'), 'palette': [[9, 0, 0], [0, 9, 0], [0, 0, 9]]}
        taken = []

        def __len__(self):
            return 9

        def get_data_info(self, index):
            self.taken.append(index)
            path = tmp_path / f'{index}.png'
            cv2.imwrite(str(path), np.full((8, 16, 3), 200, np.uint8))
            for number, method in enumerate(('source-only', 'QuadMix')):
                folder = tmp_path / 'out' / method / 'predictions'
                folder.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(folder / f'{index}.png'), np.full((8, 16), number, np.uint8))
            return {'img_path': str(path)}

        def pipeline(self, info):
            return {'data_samples': Sample}

    monkeypatch.setattr(demo, 'test_dataset', lambda root: Dataset())
    path = demo.draw_panel(parse('demo', '--out', tmp_path / 'out', '--images', 3))
    assert Dataset.taken == [0, 4, 8]
    picture = cv2.imread(str(path))[..., ::-1]
    # image, source-only, QuadMix, truth: tiles of 320x160 in 3 rows, and swatches in the legend.
    for colour in ((200, 200, 200), (9, 0, 0), (0, 9, 0), (0, 0, 9)):
        assert 3 * 320 * 160 <= (picture == colour).all(-1).sum() < 3.1 * 320 * 160
