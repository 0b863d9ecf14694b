"""Segment an image with an exported network: python run_onnx.py FOLDER IMAGE OUT.png

FOLDER is what `udass export CHECKPOINT --format onnx` wrote. Needs numpy, onnxruntime and Pillow, and nothing else.
"""

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def resize(maps, size, aligned=False):
    """Maps (C, H, W) at another size (h, w): bilinear and without smoothing, as OpenCV and PyTorch do it."""
    for axis, (old, new) in enumerate(zip(maps.shape[1:], size, strict=True), start=1):
        places = np.arange(new) * (old - 1) / max(new - 1, 1) if aligned else (np.arange(new) + 0.5) * old / new - 0.5
        low = places.clip(0, old - 1).astype(int)
        share = (places.clip(0, old - 1) - low).astype(np.float32).reshape((-1, 1) if axis == 1 else -1)
        maps = maps.take(low, axis) * (1 - share) + maps.take(np.minimum(low + 1, old - 1), axis) * share
    return maps


def size_for_network(height, width, resizes):
    """Height and width that the network is tested at, for an image of this size."""
    for step in resizes:
        (w, h), cover = step['scale'], step['type'] == 'ResizeToCover'
        if not cover and not step.get('keep_ratio'):
            height, width = h, w
            continue
        fit = min(max(w, h) / max(height, width), min(w, h) / min(height, width))
        factor = max(w / width, h / height) if cover else fit
        height, width = (round(side * factor) if cover else int(side * factor + 0.5) for side in (height, width))
    return height, width


def starts(length, window, stride):
    """Where windows begin; the last one ends with the image."""
    last = max(length - window, 0)
    return [min(i * stride, last) for i in range(-(-last // stride) + 1)]


def segment(folder, image):
    """Class ids (H, W) uint8 of an image of Pillow, and the palette of the classes."""
    with open(f'{folder}/config.json', encoding='utf-8') as file:
        config = json.load(file)
    if config['files']['model.onnx']['output'] != 'logits':
        raise SystemExit('This script averages logits: export the network with --output logits.')
    session = onnxruntime.InferenceSession(f'{folder}/model.onnx')
    pixels = np.asarray(ImageOps.exif_transpose(image).convert('RGB'), np.float32).transpose(2, 0, 1)
    inputs = resize(pixels, size_for_network(*pixels.shape[1:], config['resize'])).round()
    # A graph for one window is moved over the image; any other takes the whole image.
    slides = config['window'] == config['files']['model.onnx']['size']
    window, stride = (config['window'], config['stride']) if slides else (inputs.shape[1:], inputs.shape[1:])
    total = np.zeros((len(config['classes']), *inputs.shape[1:]), np.float32)
    count = np.zeros(inputs.shape[1:], np.float32)
    for y in starts(inputs.shape[1], window[0], stride[0]):
        for x in starts(inputs.shape[2], window[1], stride[1]):
            part = np.s_[y : y + window[0], x : x + window[1]]
            total[:, *part] += session.run(None, {'images': inputs[None, :, *part]})[0][0]
            count[part] += 1
    ids = resize(total / count, pixels.shape[1:], config['align_corners']).argmax(0).astype(np.uint8)
    return ids, config['palette']


if __name__ == '__main__':
    ids, palette = segment(sys.argv[1], Image.open(sys.argv[2]))
    result = Image.fromarray(ids)
    result.putpalette(np.ravel(palette).astype(np.uint8).tobytes())
    result.save(sys.argv[3])
