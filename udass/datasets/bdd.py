"""BDD100K (Yu et al., CVPR 2020): the labelled images as published, and BDDVid (Kareer et al. 2024, arXiv 2402.00868),
clips of its video around these images."""

from collections.abc import Collection

from mmseg.registry import DATASETS

from udass.datasets.base import ClipDataset, UDADataset, classes

LABELLED_FRAME = 307


@DATASETS.register_module()
class BDD100K(UDADataset):
    """The 10,000 images of BDD100K with semantic labels: ``<data_root>/images/10k/<split>/*.jpg`` (1280x720) with the
    train ids of ``labels/sem_seg/masks/<split>/*.png``. mmseg has the name ``BDD100KDataset``.

    Args:
        split: 'train' (7000), 'val' (1000) or 'test' (2000, whose labels only the server has: labelled=False).
        common: see ``UDADataset``.
    """

    METAINFO = classes.metainfo()
    IMAGE_FOLDER, LABEL_FOLDER = 'images/10k/{split}', 'labels/sem_seg/masks/{split}'
    IMAGE_SUFFIX = '.jpg'
    DOWNLOAD_HINT = (
        'Unpack bdd100k_images_10k.zip and bdd100k_sem_seg_labels_trainval.zip of bdd-data.berkeley.edu, and set '
        'data_root in the config to the folder bdd100k/, which holds images/ and labels/.'
    )

    def __init__(self, *, split: str, **common: object) -> None:
        self.split = split
        super().__init__(**common)


@DATASETS.register_module()
class BDDVid(ClipDataset):
    """BDDVid: ``<data_root>/<split>/images/<video>_<frame>.jpg`` (1280x720, frames 303 to 311 of each video) and the
    train ids of ``<split>/labels/<video>_307.png``, as the scripts of UnifiedVideoDA unpack BDD100K (Yu et al., CVPR
    2020).

    Frame t is number 307. As published, the frame before it in a clip lies two numbers earlier, and that before it
    four: the flow that the authors publish is between such frames. Only frame t has a label.

    Args:
        split: 'train' (2999 videos, a target) or 'val_orig_10k' (430 videos, in which frame 307 is the very image that
            BDD10K labels; the frame of the video is only close to it).
        benchmark: whose classes to use, 'viper' (15, riders are ignored) or 'synthia_seq' (12, reported as ``mIoU11``
            without fence).
        metainfo: replaces or adds to that of the benchmark.
        common: see ``ClipDataset``.
    """

    IMAGE_FOLDER, LABEL_FOLDER = '{split}/images', '{split}/labels'
    IMAGE_SUFFIX = '.jpg'
    LABELS_OF_ALL_FRAMES = False
    DOWNLOAD_HINT = (
        'Unpack the videos of BDD100K and the labels of BDD10K with the scripts of UnifiedVideoDA '
        '(datasets/BDDVid/setup), and set data_root in the config to the folder that holds train/ and val_orig_10k/, '
        'each with images/ and labels/.'
    )

    def __init__(self, *, split: str, benchmark: str, metainfo: dict | None = None, **common: object) -> None:
        self.split = split
        chosen = classes.video_benchmark(benchmark, 'BDDVid')
        metainfo = {**chosen.metainfo(), **(metainfo or {})}
        super().__init__(step=2, label_table=chosen.from_train_ids(), metainfo=metainfo, **common)

    def included(self, name: str) -> bool:
        """Whether the frame is the one that BDD10K labels."""
        return self.number(name) == LABELLED_FRAME

    def explain_filter(self, names: Collection[str]) -> str:
        """Say which frames are meant."""
        return f'Only frames <video>_{LABELLED_FRAME} are used; found for example {min(names)}.'
