import pytest
import torch
from mmseg.models.decode_heads import FCNHead
from torch import nn

from tests.engine.toys import build_runner, toy_config, train
from udass.engine.data_loader import check_class_count


class Data:
    metainfo = {'classes': ('road', 'sky')}


def test_head_and_dataset_must_agree_on_the_classes():
    model = nn.ModuleDict(
        {
            'student': nn.ModuleDict(
                {'decode_head': FCNHead(in_channels=4, channels=4, num_convs=0, concat_input=False, num_classes=3)}
            )
        }
    )
    with pytest.raises(ValueError, match=r'student.decode_head has num_classes=3, but Data has 2 classes \(road, sky'):
        check_class_count(model, Data())
    model['student']['decode_head'].num_classes = 2
    check_class_count(model, Data())


def test_every_loop_checks_its_dataset(toy_root, tmp_path, monkeypatch):
    checked = []
    monkeypatch.setattr('udass.engine.runner.check_class_count', lambda model, dataset: checked.append(type(dataset)))
    runner = build_runner(toy_config(toy_root, tmp_path))
    for loop in (runner.train_loop, runner.val_loop, runner.test_loop):
        assert loop.dataloader is not None
    assert [kind.__name__ for kind in checked] == ['SeededDataset', 'ToyDataset', 'ToyDataset']


def test_a_checkpoint_of_another_architecture_is_refused(toy_root, tmp_path):
    train(toy_config(toy_root, tmp_path, max_iters=2))
    runner = build_runner(
        toy_config(toy_root, tmp_path / 'other'), **{'model.width': 5}, load_from=str(tmp_path / 'iter_2.pth')
    )
    with pytest.raises(
        ValueError,
        match=r'student of .*iter_2.pth does not fit Sequential: 3 of another shape: 0.weight '
        r'\(4, 3, 3, 3\) instead of \(5, 3, 3, 3\)',
    ):
        runner.test()


def test_weights_alone_cannot_be_resumed_but_loaded(toy_root, tmp_path):
    runner = train(toy_config(toy_root, tmp_path, max_iters=2))
    torch.save(runner.model.state_dict(), tmp_path / 'weights.pth')
    config = toy_config(toy_root, tmp_path / 'b', max_iters=2)
    with pytest.raises(ValueError, match='holds no training state .* set load_from='):
        train(config, load_from=str(tmp_path / 'weights.pth'), resume=True)
    assert train(config, load_from=str(tmp_path / 'weights.pth')).iter == 2


def test_resume_without_a_checkpoint_starts_at_the_beginning(toy_root, tmp_path):
    assert len(train(toy_config(toy_root, tmp_path, max_iters=2), resume=True).model.seen) == 2


def test_the_terminal_is_spared_what_the_log_file_gets(toy_root, tmp_path, capsys):
    config = toy_config(toy_root, tmp_path, max_iters=2)
    config.log_level = 'INFO'
    runner = train(config)
    printed = capsys.readouterr().out
    logged = (next(tmp_path.glob('2*/*.log'))).read_text()
    assert 'Config:' in logged and 'Config:' not in printed
    assert 'Iter(train) [2/2]' in logged and 'Iter(train) [2/2]' in printed and 'eta' in printed
    assert str(runner.log_dir) in printed


def test_only_local_folders_are_written_to(toy_root, tmp_path):
    runner = build_runner(toy_config(toy_root, tmp_path))
    with pytest.raises(ValueError, match='local folders only'):
        runner.save_checkpoint(str(tmp_path), 'a.pth', backend_args={'backend': 'petrel'})
