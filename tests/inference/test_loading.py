import pytest
import torch
from mmengine.config import Config

from tests.configs.small import shrink_network
from tests.inference.conftest import CONFIGS, save_checkpoint
from udass.engine.config_files import stored_config
from udass.inference import load_network
from udass.models.checkpoints import to_reference


def same(first, second):
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_checkpoint_alone_is_its_config_and_itself(image_run):
    config, checkpoint = image_run
    alone, both = load_network(checkpoint), load_network(config, checkpoint)
    assert same(alone.network, both.network) and not alone.network.training
    assert alone.classes == both.classes and len(alone.classes) == 19 and alone.palette[0] == (128, 64, 128)
    steps = ['LoadImage', 'ResizeToCover', 'LoadLabels', 'PackUDAInputs']
    assert [node['type'] for node in alone.test_pipeline] == steps
    assert alone.branch == 'student' and alone.origin == str(checkpoint)
    stored = torch.load(checkpoint, weights_only=True)['state_dict']
    assert torch.equal(alone.network.decode_head.conv_seg.weight, stored['student.decode_head.conv_seg.weight'])
    teacher = load_network(checkpoint, branch='teacher').network
    assert torch.equal(teacher.decode_head.conv_seg.weight, stored['teacher.decode_head.conv_seg.weight'])
    assert not same(teacher, alone.network)


def test_the_branch_is_the_one_that_the_config_tests(image_run):
    assert load_network(image_run[1], options={'model.eval_branch': 'teacher'}).branch == 'teacher'


def test_the_test_pipeline_is_that_of_the_first_data_set(image_run, tmp_path):
    content = torch.load(image_run[1], weights_only=True)
    config = Config.fromfile(image_run[0])
    config.test_dataloader.dataset = dict(type='ConcatDataset', datasets=[config.test_dataloader.dataset] * 2)
    content['meta']['cfg'] = config.pretty_text
    torch.save(content, tmp_path / 'a.pth')
    assert load_network(tmp_path / 'a.pth').test_pipeline == load_network(image_run[1]).test_pipeline != ()


@pytest.mark.parametrize(
    'text, named',
    [
        ("model = __import__('os').system('touch {0}')", '`__import__'),
        ("model = dict(type=open('{0}', 'w'))", '`open('),
        ("model = [dict(type='A', size=1 + len('{0}'))]", '`1 + len'),
    ],
)
def test_the_config_in_a_checkpoint_is_not_run(text, named, tmp_path):
    checkpoint = dict(meta=dict(cfg=text.format(tmp_path / 'trap')))
    with pytest.raises(ValueError, match='model of the config in a.pth holds .*, which is not run') as caught:
        stored_config(checkpoint, 'a.pth', ('model',))
    assert named in str(caught.value)
    assert not (tmp_path / 'trap').exists()
    # What nobody asks for may be anything.
    assert stored_config(checkpoint, 'a.pth', ('other',)).to_dict() == {}


def test_the_stored_config_reads_what_configs_consist_of():
    text = "a = dict(b=(1, -2.5), c=[None, True], d={'x-y': 'z'})\nimport os\nb = 3"
    found = stored_config(dict(meta=dict(cfg=text)), 'a.pth', ('a',))
    assert found.to_dict() == {'a': {'b': (1, -2.5), 'c': [None, True], 'd': {'x-y': 'z'}}}
    for name in ('streets_quadmix', 'gta2cs_mic', 'viper'):
        for path in CONFIGS.glob(f'{name}*.py'):
            config = Config.fromfile(path)
            found = stored_config(dict(meta=dict(cfg=config.pretty_text)), path, ('model', 'test_dataloader'))
            assert found.model == config.model and found.test_dataloader == config.test_dataloader


def test_what_does_not_fit_is_refused(image_run, video_run, tmp_path):
    config, checkpoint = image_run
    with pytest.raises(FileNotFoundError, match='checkpoint gone.pth does not exist'):
        load_network('gone.pth')
    with pytest.raises(FileNotFoundError, match='config gone.py does not exist'):
        load_network('gone.py', checkpoint)
    with pytest.raises(ValueError, match='is a config: give the checkpoint of its network, too'):
        load_network(config)
    with pytest.raises(ValueError, match='is not a config .*: give either a checkpoint alone'):
        load_network(checkpoint, checkpoint)
    with pytest.raises(ValueError, match='has no model: give the config of an experiment'):
        load_network(CONFIGS / '_base_' / 'models' / 'small_resnet10t.py', checkpoint)
    with pytest.raises(ValueError, match='iter_1.pth has no teacher; it has student: choose'):
        load_network(*video_run, branch='teacher')
    with pytest.raises(ValueError, match=r'student of .*iter_1.pth does not fit FlowGuided.*1 missing: fusion.weight'):
        load_network(video_run[0], checkpoint)
    with pytest.raises(ValueError, match='decode_head has num_classes=11, but .* has 19 classes'):
        load_network(checkpoint, options={'model.student.decode_head.num_classes': 11})
    with pytest.raises(ValueError, match='branch is student or teacher'):
        load_network(checkpoint, branch='imagenet')
    with pytest.raises(ValueError, match="device 'tpu9' is unknown|device tpu9"):
        load_network(checkpoint, device='tpu9')
    with pytest.raises(ValueError, match=r'device cuda:99 does not exist: torch sees \d+ CUDA devices'):
        load_network(checkpoint, device='cuda:99')
    weights = torch.load(checkpoint)['state_dict']
    bare = {key[8:]: value for key, value in weights.items() if key.startswith('student.')}
    torch.save(dict(state_dict=bare), tmp_path / 'bare.pth')
    with pytest.raises(ValueError, match='bare.pth holds no config, .*: give the config file of its network first'):
        load_network(tmp_path / 'bare.pth')
    assert same(load_network(config, tmp_path / 'bare.pth').network, load_network(checkpoint).network)


def test_a_component_of_ones_own_needs_the_config_file(tmp_path):
    text = "model = dict(student=dict(type='MySegmentor'))\ncustom_imports = dict(imports=['udass', 'my_code'])"
    torch.save(dict(state_dict={'student.a': torch.zeros(1)}, meta=dict(cfg=text)), tmp_path / 'mine.pth')
    with pytest.raises(ValueError, match=r'MySegmentor.*names \(my_code\) are not imported'):
        load_network(tmp_path / 'mine.pth')
    with pytest.raises(ValueError, match=r'MySegmentor.*names \(my_code\) are not imported'):
        load_network(tmp_path / 'mine.pth', options={'model.student.type': 'MySegmentor'})


@pytest.mark.parametrize(
    'option, value, message',
    [
        ('modle.eval_branch', 'teacher', r'option modle does not exist: .*Did you mean model\?'),
        ('model.studnet.test_cfg.mode', 'whole', r'option model\.studnet does not exist: .*Did you mean student\?'),
        ('model.student.backbone.depht', 3, r'option model\.student\.backbone\.depht does not exist'),
        ('model.student.neck', dict(type='MiT', varant='b0'), r'student\.neck\.varant does not exist: MiT takes'),
    ],
)
@pytest.mark.parametrize('with_config', [False, True])
def test_options_are_checked_with_and_without_the_config_file(option, value, message, with_config, image_run):
    files = image_run if with_config else image_run[1:]
    with pytest.raises(ValueError, match=message):
        load_network(*files, options={option: value})


def test_published_files_load_with_their_config(tmp_path):
    config = Config.fromfile(CONFIGS / 'gta2cs_mic.py')
    shrink_network(config.model.student)
    config.dump(tmp_path / 'small.py')
    checkpoint = save_checkpoint(config, tmp_path / 'ours.pth')
    ours = load_network(tmp_path / 'small.py', checkpoint, branch='teacher').network
    teacher = to_reference(ours.state_dict())
    published = {f'model.{key}': value + 1 for key, value in teacher.items()}
    published |= {f'ema_model.{key}': value for key, value in teacher.items()}
    torch.save(dict(state_dict=published, meta=dict(epoch=1)), tmp_path / 'published.pth')
    loaded = load_network(tmp_path / 'small.py', tmp_path / 'published.pth', branch='teacher')
    assert same(loaded.network, ours)
    torch.save(dict(state_dict=ours.state_dict()), tmp_path / 'converted.pth')
    assert same(load_network(tmp_path / 'small.py', tmp_path / 'converted.pth').network, ours)
