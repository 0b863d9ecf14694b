"""A trained network as one PyTorch module, from a folder, a hub, or a checkpoint.

Shapes: N images, C classes, H, W pixels.
"""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from huggingface_hub import HfApi, snapshot_download
from mmseg.models import SegDataPreProcessor
from safetensors.torch import save
from torch import Tensor, nn

import udass
from udass.engine.config_files import without_start_weights
from udass.inference import LoadedNetwork, Segmenter
from udass.inference.loading import EXPORTED_CONFIG, EXPORTED_WEIGHTS
from udass.inference.scaling import InputScaling, size_steps
from udass.inference.segmenter import ImageLike
from udass.io.writing import write_bytes, write_text

CARD = 'README.md'
_HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')


class TrainedNetwork(nn.Module):
    """A trained network with all that it does to an image: resizing, normalisation, windows.

    Args:
        segment: the network.
        card: text of its model card, in Markdown.

    Attributes:
        network: the segmentor.
        classes: names by id.
        palette: RGB colours by id.
        config: what ``config.json`` of its folder holds.

    Raises:
        ValueError: the network prepares images in a way that cannot be written down.
    """

    def __init__(self, segment: Segmenter, card: str = '') -> None:
        super().__init__()
        self.network = segment.network
        self.classes, self.palette, self.card = segment.classes, segment.palette, card
        self.config = describe(segment.loaded)
        self._segment = segment
        self.eval()

    def predict(self, image: ImageLike, previous: ImageLike | None = None) -> np.ndarray:
        """Class ids (H, W) uint8 of an image: a file name, an image of Pillow, or an array (H, W, 3) uint8 RGB.

        The image may have any size. ``previous`` is the frame before it, for networks of two frames; see
        `Segmenter.__call__`.
        """
        return self._segment(image, previous)

    def probabilities(self, image: ImageLike, previous: ImageLike | None = None) -> np.ndarray:
        """Probabilities (C, H, W) float32 of the classes; see `Segmenter.probabilities`."""
        return self._segment.probabilities(image, previous)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C, H, W) of RGB images (N, 3, H, W) with values in 0..255, at the size that the network is tested
        at: nothing is resized. Where the network is tested in windows, they slide."""
        preprocessor, size = self.network.data_preprocessor, images.shape[2:]
        pixels = images.float() if preprocessor._channel_conversion else images.float().flip(1)
        if preprocessor._enable_normalize:
            pixels = (pixels - preprocessor.mean) / preprocessor.std
        metas = [dict(ori_shape=size, img_shape=size, pad_shape=size)] * len(images)
        return self.network.inference(pixels, metas)

    def _apply(self, *arguments: object, **options: object) -> 'TrainedNetwork':
        """Also tell the preprocessor of mmengine, which keeps its device beside its tensors."""
        result = super()._apply(*arguments, **options)
        self.network._set_device(next(self.network.parameters()).device)
        return result

    def save_pretrained(self, folder: str | Path) -> None:
        """Write weights, ``config.json`` and the model card into a folder, which `load` reads."""
        folder = Path(folder)
        # The weights of the finished network: what only training needs is merged or left out before.
        weights = {key: value.detach().contiguous() for key, value in self.network.state_dict().items()}
        write_bytes(folder / EXPORTED_WEIGHTS, save(weights, metadata={'format': 'pt'}))
        write_text(folder / EXPORTED_CONFIG, json.dumps(self.config, indent=1) + '\n')
        write_text(folder / CARD, self.card or f'---\nlibrary_name: udass\n---\n\n# {folder.name}\n')

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        commit_message: str = 'Add a network trained with UDASS',
    ) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face Hub, and return the address of the commit. The
        repository ``owner/name`` is made if there is none, private or as the hub decides (None); the token of the
        account is that of ``hf auth login`` by default."""
        api = HfApi(token=token)
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=commit_message)


def describe(loaded: LoadedNetwork) -> dict:
    """The content of ``config.json``: what a program needs to prepare images and to read the results, and ``network``,
    from which this project rebuilds the network. ValueError if the preprocessor pads or is of another kind, the test
    pipeline has other transforms than resizes, or the network has a single logit."""
    network, pipeline = loaded.network, loaded.test_pipeline
    preprocessor, test_cfg = network.data_preprocessor, network.test_cfg or {}
    if not isinstance(preprocessor, SegDataPreProcessor) or preprocessor.test_cfg:
        raise ValueError(
            f'{loaded.origin}: {type(preprocessor).__name__} prepares images in a way of its own (test_cfg '
            f"{getattr(preprocessor, 'test_cfg', None)}); use mmseg's SegDataPreProcessor or a class of this project, "
            'without test_cfg'
        )
    if network.out_channels == 1:
        raise ValueError(f'{loaded.origin} has a single logit; only networks with one per class can be exported')
    InputScaling(pipeline)  # raises what it cannot undo
    slides = test_cfg.get('mode', 'whole') == 'slide'
    normalizes = preprocessor._enable_normalize
    return {
        'library': f'udass {udass.__version__}',
        'classes': list(loaded.classes),
        'palette': [list(colour) for colour in loaded.palette],
        'normalization': {
            'channels': 'RGB' if preprocessor._channel_conversion else 'BGR',
            'mean': _rounded(preprocessor.mean) if normalizes else [0.0] * 3,
            'std': _rounded(preprocessor.std) if normalizes else [1.0] * 3,
        },
        'resize': size_steps(pipeline),
        'align_corners': network.align_corners,
        'window': list(test_cfg['crop_size']) if slides else None,
        'stride': list(test_cfg['stride']) if slides else None,
        'bit_depth': next((step.get('bit_depth') for step in pipeline if step['type'] == 'LoadImage'), None),
        'network': json.loads(json.dumps(without_start_weights(loaded.config))),
    }


def load(
    source: str | Path, *, device: str | torch.device | None = None, revision: str | None = None
) -> TrainedNetwork:
    """A trained network, ready to use.

    Args:
        source: folder that ``udass export`` or `TrainedNetwork.save_pretrained` wrote, id ``owner/name`` on the Hugging
            Face Hub, or a checkpoint of a training.
        device: None is the GPU if there is one.
        revision: branch, tag or commit on the hub; None is the newest.

    Raises:
        FileNotFoundError, ValueError: there is no such folder, file or repository, the hub cannot be reached, or the
            files are damaged, or name components that are not registered.
    """
    path = Path(source)
    if not path.exists() and _HUB_ID.fullmatch(str(source)):
        wanted = [EXPORTED_CONFIG, EXPORTED_WEIGHTS, CARD]
        try:
            path = Path(snapshot_download(str(source), revision=revision, allow_patterns=wanted))
        except Exception as error:  # the hub raises errors of several libraries
            raise FileNotFoundError(
                f'{source} is not a folder here, and could not be fetched from the Hugging Face Hub '
                f'({type(error).__name__}: {error})'
            ) from error
    card = path / CARD
    return TrainedNetwork(Segmenter(path, device=device), card.read_text('utf-8') if card.is_file() else '')


def _rounded(values: Tensor) -> list[float]:
    """As they were written in the config; float32 has no more digits."""
    return [round(value, 5) for value in values.flatten().tolist()]
