"""CamVid and its day -> dusk protocol."""

import cv2
import numpy as np
import pytest

from udass.datasets import CamVidDataset


def sequences(dataset):
    return {dataset.get_data_info(i)['img_path'].split('/')[-1].split('_')[0] for i in range(len(dataset))}


@pytest.fixture
def small_camvid(tmp_path):
    for name in ('0001TP_000001', '0001TP_000002', '0016E5_000001'):
        for folder, suffix in (('images', '.jpg'), ('labels', '.png')):
            (tmp_path / folder / 'train').mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(tmp_path / folder / 'train' / (name + suffix)), np.full((12, 16), 11, np.uint8))
    return tmp_path


def test_sequences_choose_the_domain(small_camvid):
    root = str(small_camvid)
    assert sequences(CamVidDataset(data_root=root, split='train', sequence='0001TP')) == {'0001TP'}
    assert sequences(CamVidDataset(data_root=root, split='train', exclude_sequence='0001TP')) == {'0016E5'}
    assert len(CamVidDataset(data_root=root, split='train')) == 3


def test_id_11_is_ignored_and_12_unknown(small_camvid):
    pipeline = [dict(type='LoadImage'), dict(type='LoadLabels')]
    dataset = CamVidDataset(data_root=str(small_camvid), split='train', pipeline=pipeline)
    assert set(np.unique(dataset[0]['gt_seg_map'])) == {255}
    path = small_camvid / 'labels' / 'train' / '0001TP_000002.png'
    cv2.imwrite(str(path), np.full((12, 16), 12, np.uint8))
    with pytest.raises(ValueError, match=r'0001TP_000002\.png holds the label ids \[12\]'):
        dataset[1]


def test_unknown_sequence_lists_those_there(small_camvid):
    with pytest.raises(ValueError, match=r"sequence='0001', .*sequences there: \['0001TP', '0016E5'\]"):
        CamVidDataset(data_root=str(small_camvid), split='train', sequence='0001')


def test_the_published_split_into_domains(camvid_root):
    source = CamVidDataset(data_root=camvid_root, split='train', exclude_sequence='0001TP')
    target = CamVidDataset(data_root=camvid_root, split='train', sequence='0001TP', labelled=False)
    test = CamVidDataset(
        data_root=camvid_root,
        split='test',
        sequence='0001TP',
        pipeline=[dict(type='LoadImage'), dict(type='LoadLabels')],
    )
    assert (len(source), len(target), len(test)) == (305, 62, 62)
    sample = test[0]
    assert sample['img'].shape == (360, 480, 3) and sample['gt_seg_map'].shape == (360, 480)
    # Sky is above the road in a street scene: image and label belong together, and ids mean what the names say.
    rows = {
        name: np.nonzero(sample['gt_seg_map'] == train_id)[0].mean()
        for train_id, name in enumerate(CamVidDataset.METAINFO['classes'])
        if name in ('sky', 'road')
    }
    assert rows['sky'] < 180 < rows['road']
