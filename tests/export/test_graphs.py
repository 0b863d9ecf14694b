"""Networks as ONNX and as programs of torch.export: what they give, and which sizes they refuse.

The vision transformers are those of timm with one block.
"""

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from PIL import Image
from timm.layers import padding

from tests.export.small import CHANNELS, convolutional, daformer, save, segmentor, vit
from tests.export.test_network import RESIZE, SLIDE
from udass.export import export, folder
from udass.export.folder import sample_image
from udass.export.graphs import _whole_numbers, run_onnx, run_pt2
from udass.inference import Segmenter

GRAPHS = ('onnx', 'pt2')
SCRIPT = Path(__file__).parents[2] / 'docs' / 'run_onnx.py'
MIT = dict(type='MiT', variant='b0')
MIT_CHANNELS = [32, 64, 160, 256]
HRDA = segmentor(
    convolutional()['backbone'],
    dict(type='HRDAHead', head=daformer(CHANNELS), scale_attention=daformer(CHANNELS, 'conv')),
    type='HRDAEncoderDecoder',
    crop_size=(64, 64),
    output_stride=4,
    test_cfg=dict(mode='slide', crop_size=(128, 128), stride=(64, 64)),
)
LITE = segmentor(
    dict(type='TimmBackbone', name='tf_efficientnet_lite0', out_indices=(1, 2, 3, 4), pretrained=False),
    daformer([24, 40, 112, 320]),
)
DINOV3 = vit(dict(type='TimmViT', name='vit_small_patch16_dinov3.lvd1689m', out_indices=(0,), pretrained=False))
DINOV2 = vit(dict(type='DINOv2', name='vit_small_patch14_dinov2.lvd142m', multiple=14, pretrained=False))


@pytest.fixture
def small_vits(monkeypatch):
    create = timm.create_model

    def small(name, **options):
        return create(name, **options, **(dict(depth=1) if name.startswith('vit') else {}))

    monkeypatch.setattr(timm, 'create_model', small)


@pytest.fixture(scope='module')
def run_script():
    spec = importlib.util.spec_from_file_location('run_onnx', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def images(size):
    return torch.from_numpy(sample_image(size)).permute(2, 0, 1)[None].float()


def refuses(run, size, message):
    with pytest.raises(Exception, match=message):
        run(images(size))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'name', 'message'),
    [
        # PyTorch would write a graph without a word that is wrong at other sizes.
        (DINOV3, 'onnx', r'model.onnx does not give what the network gives for images of 49x93 pixels: logits differ'),
        (DINOV2, 'pt2', r'model.pt2 fails for images of 96x192 pixels, export it for one size \(without --dynamic\)'),
    ],
    ids=['dinov3', 'dinov2'],
)
def test_a_vit_at_another_size_than_traced_is_refused(config, name, message, small_vits, tmp_path):
    checkpoint = save(config, tmp_path / 'a.pth')
    told = export(checkpoint, out=tmp_path / 'out', formats=GRAPHS, size=(64, 96), check=True)['files']
    for graph in GRAPHS:
        assert told[f'model.{graph}']['logit_difference'] < 1e-3 and told[f'model.{graph}']['equal_labels'] == 1
    # One size is enforced by what runs the file.
    refuses(run_onnx(tmp_path / 'out' / 'model.onnx'), (80, 96), r'(?s)invalid dimensions.*Got: 80 Expected: 64')
    refuses(run_pt2(tmp_path / 'out' / 'model.pt2'), (80, 96), r'images.size\(\)\[2\] == 64')
    with pytest.raises(ValueError, match=message):
        export(checkpoint, out=tmp_path / 'dynamic', formats=[name], size=(64, 96), dynamic=True)
    assert not (tmp_path / 'dynamic').exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ('config', 'name', 'run'),
    [
        (segmentor(MIT, daformer(MIT_CHANNELS)), 'onnx', run_onnx),
        (LITE, 'onnx', run_onnx),
        (convolutional(), 'pt2', run_pt2),
    ],
    ids=['mit_daformer', 'lite', 'resnet'],
)
def test_mit_and_convolutions_take_any_size(config, name, run, tmp_path):
    checkpoint = save(config, tmp_path / 'a.pth')
    told = export(checkpoint, out=tmp_path / 'out', formats=[name], size=(64, 96), dynamic=True)['files'][
        f'model.{name}'
    ]
    assert told['logit_difference'] < 1e-3 and told['equal_labels'] > 0.999
    # A size at which nothing was compared.
    expected = Segmenter(checkpoint, device='cpu').logits(sample_image((75, 131)))
    found = run(tmp_path / 'out' / f'model.{name}')(images((75, 131)))[0].detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.slow
def test_hrda_in_its_windows(tmp_path):
    checkpoint = save(HRDA, tmp_path / 'a.pth')
    told = export(checkpoint, out=tmp_path / 'out', formats=GRAPHS, check=True)['files']
    for name in GRAPHS:
        assert told[f'model.{name}']['size'] == [128, 128] and told[f'model.{name}']['logit_difference'] < 1e-3


@pytest.mark.parametrize(('kernel', 'stride', 'dilation'), [(3, 2, 1), (5, 2, 1), (3, 1, 2), (1, 2, 1), (2, 3, 1)])
def test_the_padding_of_a_graph_is_that_of_timm(kernel, stride, dilation):
    sizes = range(1, 20)
    expected = [padding.get_same_padding(size, kernel, stride, dilation) for size in sizes]
    with _whole_numbers():
        assert [padding.get_same_padding(size, kernel, stride, dilation) for size in sizes] == expected


@pytest.mark.slow
def test_the_script_in_the_docs_gives_the_labels_of_the_segmenter(run_script, tmp_path):
    """Resized, in windows, and back."""
    checkpoint = save(convolutional(test_cfg=SLIDE), tmp_path / 'a.pth', [RESIZE])
    told = export(checkpoint, out=tmp_path / 'out', formats=['onnx'], check=True)['files']['model.onnx']
    assert told['size'] == [48, 48] and told['logit_difference'] < 1e-3 and told['equal_labels'] == 1
    model = onnx.load(tmp_path / 'out' / 'model.onnx')
    assert told['opset'] == {opset.domain: opset.version for opset in model.opset_import}['']
    image = Image.fromarray(sample_image((90, 110)))
    labels, palette = run_script.segment(tmp_path / 'out', image)
    expected = Segmenter(checkpoint, device='cpu')(image)
    assert labels.dtype == np.uint8 and labels.shape == expected.shape and len(palette) == 3
    # OpenCV rounds resized pixels in fixed point.
    assert (labels == expected).mean() > 0.995 and len(np.unique(labels)) > 1


def test_the_script_refuses_ids_which_have_no_mean(run_script, tmp_path):
    (tmp_path / 'config.json').write_text('{"files": {"model.onnx": {"output": "ids"}}}')
    with pytest.raises(SystemExit, match='export the network with --output logits'):
        run_script.segment(tmp_path, Image.new('RGB', (4, 4)))


@pytest.mark.parametrize(
    'step',
    [
        dict(type='Resize', scale=(64, 48)),
        dict(type='Resize', scale=(64, 48), keep_ratio=True),
        dict(type='ResizeToCover', scale=(64, 48)),
    ],
    ids=['exact', 'fit', 'cover'],
)
@pytest.mark.parametrize('size', [(90, 110), (48, 64), (201, 77), (31, 45)])
def test_the_script_resizes_as_the_segmenter(step, size, run_script, tmp_path):
    scaling = Segmenter(save(convolutional(), tmp_path / 'a.pth', [step]), device='cpu').scaling
    pixels = sample_image(size)
    expected = scaling([pixels])[0][0]
    assert run_script.size_for_network(*size, [step]) == expected.shape[:2]
    found = run_script.resize(pixels.transpose(2, 0, 1).astype(np.float32), expected.shape[:2]).round()
    assert np.abs(found.transpose(1, 2, 0) - expected).max() <= 1


@pytest.mark.parametrize('aligned', [False, True])
def test_the_script_enlarges_as_pytorch(aligned, run_script):
    maps = torch.rand(2, 5, 7, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(maps[None], size=(12, 9), mode='bilinear', align_corners=aligned)[0]
    np.testing.assert_allclose(run_script.resize(maps.numpy(), (12, 9), aligned), expected.numpy(), atol=1e-5)


def test_ids_are_those_of_the_logits(tmp_path):
    checkpoint = save(convolutional(), tmp_path / 'a.pth', [RESIZE])
    told = export(checkpoint, out=tmp_path / 'out', formats=['pt2'], ids=True, check=True)['files']['model.pt2']
    assert told == dict(size=[48, 64], dynamic=False, output='ids', torch=torch.__version__, equal_labels=1)
    ids = run_pt2(tmp_path / 'out' / 'model.pt2')(images((48, 64)))
    assert ids.dtype == torch.uint8 and ids.shape == (1, 48, 64)


def test_a_graph_that_gives_something_else_is_not_written(tmp_path, monkeypatch):
    def wrong(path):
        return lambda pixels: run_pt2(path)(pixels) + torch.tensor([0.002, 0, 0])[:, None, None]

    monkeypatch.setitem(folder._GRAPHS, 'pt2', (folder.write_pt2, wrong))
    checkpoint = save(convolutional(), tmp_path / 'a.pth', [RESIZE])
    with pytest.raises(
        ValueError, match=r'model.pt2 does not give.*48x64 pixels: logits differ by up to 0.002 \(at most 0.001\)'
    ):
        export(checkpoint, out=tmp_path / 'out', formats=['pt2'], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_windows_cannot_be_exported_for_any_size(tmp_path):
    checkpoint = save(convolutional(test_cfg=SLIDE), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='tested in windows of 48x48 pixels: leave dynamic'):
        export(checkpoint, out=tmp_path / 'out', formats=['pt2'], dynamic=True)


def test_without_a_resize_the_size_is_asked_for(tmp_path):
    with pytest.raises(ValueError, match='say for which size .*--size HxW'):
        export(save(convolutional(), tmp_path / 'a.pth'), out=tmp_path / 'out', formats=['pt2'])
