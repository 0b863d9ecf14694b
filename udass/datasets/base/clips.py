"""Data sets of video: a sample is a frame with the frames before it, and the pairs whose optical flow is needed."""

import re
from collections.abc import Sequence

from mmseg.registry import DATASETS

from udass.datasets.base.dataset import UDADataset

# A name is its beginning, the last number in it (the frame), and what follows.
_NUMBERED = re.compile(r'(?P<head>.*?)(?P<number>\d+)(?P<tail>[^\d/]*)', re.DOTALL)


@DATASETS.register_module()
class ClipDataset(UDADataset):
    """Numbered frames in a folder; a sample is a clip: frame t, t - 1 and, if requested, a past pair t - k, t - k - 1.

    The last number in a name is that of the frame, what precedes it (folders included) names the sequence. In addition
    to what ``UDADataset`` gives, a sample's info holds, with T = 2 or 4 frames:

    - ``frame_paths``: T paths, frame t first (it is ``img_path``), then t - 1, t - k and t - k - 1;
    - ``label_paths``: T paths or None where a frame has no label (labelled only);
    - ``flow_pairs``: pairs (i, j) of indices into ``frame_paths`` whose flow, frame i to frame j, is needed: from frame
      0 to each other one and, with a past pair, from 2 to 3.

    In training the first frames of a sequence, which have no past, are left out. With ``test_mode`` the earliest frame
    there is takes the place of those before it (no motion). A number that is missing later is an error.

    Args:
        past: k >= 1, frames from t back to the past pair; None = clips of t and t - 1 only.
        step: difference of the numbers of consecutive frames. None = frames follow each other in the order of their
            numbers, whatever the differences (a missing frame then goes unnoticed). 0 = stills: each frame takes
            the place of those before it, so that single images can be trained on as clips without motion.
        common: see ``UDADataset``.
    """

    # False: only frame t has a label. True: all frames of a clip must have one.
    LABELS_OF_ALL_FRAMES = True

    def __init__(self, *, past: int | None = None, step: int | None = 1, **common: object) -> None:
        if past is not None and past < 1 or step is not None and step < 0:
            raise ValueError(
                f'{type(self).__name__}: past must be None or at least 1, and step None or at least 0; got '
                f'past={past}, step={step}'
            )
        self.past, self.step = past, step
        # (head, tail) of the names of a sequence -> number -> name, in the order of the numbers; made when listed.
        self._sequences: dict[tuple[str, str], dict[int, str]] = {}
        # The same with the place in that order -> name.
        self._orders: dict[tuple[str, str], list[str]] = {}
        self._places: dict[str, int] = {}
        super().__init__(**common)

    @property
    def distances(self) -> tuple[int, ...]:
        """How many frames each frame of a clip lies before the first one."""
        return (0, 1) if self.past is None else (0, 1, self.past, self.past + 1)

    def flow_pairs(self) -> list[tuple[str, str]]:
        """Paths (current frame, other frame) of all pairs whose flow the samples need, each once; none of a frame with
        itself, whose flow is 0."""
        self.full_init()
        pairs: dict[tuple[str, str], None] = {}
        for index in range(len(self)):
            info = self.get_data_info(index)
            paths = info['frame_paths']
            pairs.update({(paths[current], paths[other]): None for current, other in info['flow_pairs']})
        return [pair for pair in pairs if pair[0] != pair[1]]

    def sequences(self) -> list[list[str]]:
        """Names of all frames there are, sequence by sequence, in the order of their numbers."""
        self.full_init()
        return [list(order) for _, order in sorted(self._orders.items())]

    def load_data_list(self) -> list[dict]:
        """List the clips, sorted by the name of frame t; errors as of ``UDADataset``, FileNotFoundError if a frame
        within a sequence or a label of a clip is missing, ValueError if no frame is left or one is not numbered."""
        samples = super().load_data_list()
        if self.labelled and self.LABELS_OF_ALL_FRAMES:
            existing = {self.label_path(name) for name in self._names(self.label_folder, self.seg_map_suffix, 'labels')}
            missing = sorted({path for sample in samples for path in sample['label_paths']} - existing)
            if missing:
                raise FileNotFoundError(
                    f'{type(self).__name__}: {missing[0]} is missing ({len(missing)} labels in all); every frame of a '
                    'labelled clip needs its label. Add the labels, or set labelled=False if this is a target domain'
                )
        return samples

    def image_names(self) -> list[str]:
        """Sorted names of the frames that have their clip; errors as in ``load_data_list``."""
        found = self._names(self.image_folder, self.img_suffix, 'images')
        self._sort(found)
        chosen = self._selected(self.choose(found), found)
        names = [name for name in chosen if self.clip_names(name) is not None]
        if not names:
            raise ValueError(
                f'{type(self).__name__}: none of the {len(chosen)} chosen frames in {self.image_folder} (for example '
                f'{chosen[0]}) has {max(self.distances)} frames before it, which a clip needs. Add the frames, or '
                'correct step or past'
            )
        return names

    def choose(self, names: Sequence[str]) -> list[str]:
        """Which of the sorted names of all frames there are become frame t of a clip, if their past exists."""
        return [name for name in names if self.included(name)]

    def label_names(self) -> list[str]:
        """Sorted names of the labels of frames that become frame t of a clip."""
        return [name for name in super().label_names() if name not in self._places or self.clip_names(name) is not None]

    def clip_names(self, name: str) -> list[str] | None:
        """Names of the T frames of the clip of frame t ``name``; None if it is left out because it has no past."""
        clip = [name]
        for distance in self.distances[1:]:
            earlier = self.earlier(name, distance)
            if earlier is None and not self.test_mode:
                return None
            clip.append(clip[-1] if earlier is None else earlier)
        return clip

    def earlier(self, name: str, distance: int) -> str | None:
        """Name of the frame that lies ``distance`` frames before; None if the sequence starts later, FileNotFoundError
        if it has frames before it, but not this one."""
        head, number, tail = self._parts(name)
        if self.step is None:
            place = self._places[name] - distance
            return self._orders[head, tail][place] if place >= 0 else None
        wanted = number - distance * self.step
        sequence = self._sequences[head, tail]
        if wanted in sequence:
            return sequence[wanted]
        if self.starts_after(wanted, sequence):
            return None
        width = len(name) - len(head) - len(tail)
        missing = self.image_path(f'{head}{max(wanted, 0):0{width}d}{tail}')
        raise FileNotFoundError(
            f'{type(self).__name__}: {missing} is missing; it lies {distance} frame(s) before {name}{self.img_suffix}, '
            'which is used. Copy or extract it again, or remove the frames whose past it is'
        )

    def starts_after(self, number: int, sequence: dict[int, str]) -> bool:
        """Whether a number that is not there lies before the start of the sequence (number -> name, sorted)."""
        return number < next(iter(sequence))

    def number(self, name: str) -> int:
        """Number of a frame."""
        return self._parts(name)[1]

    def make_sample(self, name: str) -> dict:
        """Info of the clip of frame t ``name``, with the paths of its files."""
        clip = self.clip_names(name)
        sample = super().make_sample(name)
        sample['frame_paths'] = [self.image_path(frame) for frame in clip]
        sample['flow_pairs'] = [(0, other) for other in range(1, len(clip))] + [(2, 3)] * (self.past is not None)
        if self.labelled:
            sample['label_paths'] = [
                self.label_path(frame) if self.LABELS_OF_ALL_FRAMES or frame == name else None for frame in clip
            ]
        return sample

    def _parts(self, name: str) -> tuple[str, int, str]:
        """Beginning, frame number and end of a name."""
        match = _NUMBERED.fullmatch(name)
        if match is None:
            raise ValueError(
                f'{type(self).__name__}: the name of {self.image_path(name)} has no number, so that its place in the '
                'video is unknown. Number the frames, or remove the file'
            )
        return match['head'], int(match['number']), match['tail']

    def _sort(self, names: Sequence[str]) -> None:
        """Store which frames there are, sequence by sequence."""
        found: dict[tuple[str, str], dict[int, str]] = {}
        for name in names:
            head, number, tail = self._parts(name)
            found.setdefault((head, tail), {})[number] = name
        self._sequences = {key: dict(sorted(sequence.items())) for key, sequence in found.items()}
        self._orders = {key: list(sequence.values()) for key, sequence in self._sequences.items()}
        self._places = {name: place for order in self._orders.values() for place, name in enumerate(order)}
