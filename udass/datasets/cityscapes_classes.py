"""The 19 Cityscapes classes (train ids 0..18), which most driving data sets are mapped to."""

CLASSES = (
    'road',
    'sidewalk',
    'building',
    'wall',
    'fence',
    'pole',
    'traffic light',
    'traffic sign',
    'vegetation',
    'terrain',
    'sky',
    'person',
    'rider',
    'car',
    'truck',
    'bus',
    'train',
    'motorcycle',
    'bicycle',
)

# The official colours (RGB, 0..255).
PALETTE = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (0, 80, 100),
    (0, 0, 230),
    (119, 11, 32),
)

# Countable objects: the feature distance of DAFormer is taken on them (train ids 6, 7, 11..18).
THING_CLASSES = (
    'traffic light',
    'traffic sign',
    'person',
    'rider',
    'car',
    'truck',
    'bus',
    'train',
    'motorcycle',
    'bicycle',
)

# "Label ids": the coding of the published label files, in the order of CLASSES.
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

# Label id -> train id. 0..6, 9, 10, 14, 15, 16, 18, 29 and 30 are not evaluated; 255 is license plate (-1) in 8 bits.
LABEL_TABLE = {**dict.fromkeys((*range(34), 255), 255), **{raw: train_id for train_id, raw in enumerate(LABEL_IDS)}}


def metainfo(**more: object) -> dict:
    """Metainfo of a data set of these classes: ``classes``, ``palette``, ``thing_classes`` and what else is given."""
    palette = [list(colour) for colour in PALETTE]
    return dict(classes=CLASSES, palette=palette, thing_classes=list(THING_CLASSES), **more)
