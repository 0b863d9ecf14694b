"""Random streams of the loaders: which sample is drawn, and every random choice made on the way to it.

A sample is a pure function of (seed, stream name, rank, position in the stream). Two loaders with different stream
names share nothing, however many workers they have; a resumed run continues at a position without decoding anything.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from zlib import crc32

import numpy as np
import torch
from mmengine.dist import get_dist_info, sync_random_seed
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from udass.datasets.sampling.wrappers import locate, plain_datasets
from udass.errors import DamagedFileError

# Purposes of random numbers that are derived from one stream: the order of the samples, choices of a dataset wrapper,
# those that consecutive draws share, the pipeline's, ... Part of the reproducibility of runs: never renumber.
_ORDER, _STREAM, _CHOICE, _GROUP, _PIPELINE, _REPLACEMENT = range(1, 7)


def _derived_seed(*entropy: int) -> int:
    """A 63-bit seed that depends on every number of ``entropy`` (each >= 0)."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


class SampleKey(NamedTuple):
    """One position of a stream: what a ``SeededInfiniteSampler`` yields and a ``SeededDataset`` is indexed with.

    Attributes:
        index: the sample that the shuffled order gives, 0 <= index < len(dataset).
        number: position in the stream of this rank: 0, 1, 2, ...
        stream_seed: derived from (seed, stream name, rank).
        attempt: how many samples of this position turned out to be damaged; 0 for the first choice.
    """

    index: int
    number: int
    stream_seed: int
    attempt: int = 0

    def generator(self) -> np.random.Generator:
        """Fresh generator for the choices of this draw; equal draws give equal generators."""
        return np.random.default_rng(self._entropy(_CHOICE))

    def group_generator(self, size: int) -> np.random.Generator:
        """Fresh generator shared by the ``size`` consecutive draws 0..size-1, size..2*size-1, ... of the stream."""
        return np.random.default_rng([self.stream_seed, _GROUP, self.number // size])

    def pipeline_seed(self) -> int:
        """Seed in [0, 2**32) for the global generators while the pipeline runs."""
        return _derived_seed(*self._entropy(_PIPELINE)) % 2**32

    def replacement(self, size: int) -> 'SampleKey':
        """What is drawn from ``size`` samples instead, if this one is damaged: a function of the position alone."""
        attempt = self.attempt + 1
        generator = np.random.default_rng([self.stream_seed, _REPLACEMENT, self.number, attempt])
        return self._replace(index=int(generator.integers(size)), attempt=attempt)

    def _entropy(self, purpose: int) -> list[int]:
        return [self.stream_seed, purpose, self.number, *([self.attempt] if self.attempt else [])]


@contextmanager
def isolated_randomness(seed: int) -> Iterator[None]:
    """Inside, ``random``, numpy's global and torch's CPU generator start from a seed in [0, 2**32); afterwards they are
    as before: with ``num_workers=0`` the pipelines run in the training process."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    # Not torch.manual_seed: it also reseeds the accelerators, which a forked worker must not touch.
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


@DATA_SAMPLERS.register_module()
class SeededInfiniteSampler(Sampler):
    """Infinite, rank-aware sampler that yields ``SampleKey``s and can start anywhere.

    The order is one permutation after another of all indices, identical on all ranks; rank r of n takes positions
    r, r + n, r + 2n, ... of it (as mmengine's ``InfiniteSampler`` does), so that within a pass no two ranks get the
    same sample. Every ``iter()`` starts at the position given to ``skip`` (0 at first).

    Args:
        dataset: anything with a length.
        seed: >= 0, equal on all ranks; None draws one and shares it among the ranks.
        stream: name of the stream, e.g. 'source' or 'target'. Different names are uncorrelated.
        shuffle: False gives the indices in their order.
    """

    def __init__(self, dataset: Dataset, seed: int | None = None, stream: str = 'source', shuffle: bool = True) -> None:
        seed = sync_random_seed() if seed is None else seed
        self.size = len(dataset)
        if self.size == 0:
            raise ValueError(f"the dataset of the stream '{stream}' is empty: nothing can be drawn from it")
        self.rank, self.world_size = get_dist_info()
        self.seed, self.stream, self.shuffle = seed, stream, shuffle
        self._name = crc32(stream.encode())
        self._stream_seed = _derived_seed(seed, self._name, _STREAM, self.rank)
        self._first = 0

    def _order(self, number_of_pass: int) -> np.ndarray:
        """Indices of one pass over the data, shape (size,)."""
        if not self.shuffle:
            return np.arange(self.size)
        return np.random.default_rng([self.seed, self._name, _ORDER, number_of_pass]).permutation(self.size)

    def __iter__(self) -> Iterator[SampleKey]:
        number, current, order = self._first, -1, None
        while True:
            number_of_pass, position = divmod(self.rank + number * self.world_size, self.size)
            if number_of_pass != current:
                current, order = number_of_pass, self._order(number_of_pass)
            yield SampleKey(index=int(order[position]), number=number, stream_seed=self._stream_seed)
            number += 1

    def skip(self, num_samples: int) -> None:
        """Start later iterations after the first ``num_samples`` draws of this rank, counted from the start of the
        stream."""
        self._first = num_samples

    def __len__(self) -> int:
        """Number of samples of one pass on all ranks together."""
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Nothing to do: the stream is infinite. mmengine's loops call this on every sampler."""


@DATASETS.register_module()
class SeededDataset(Dataset):
    """A dataset whose samples are functions of a ``SampleKey``, whatever process computes them.

    A damaged file raises (mmengine's datasets would silently take another one if the pipeline returns None), or is
    replaced by another draw, which depends on the position in the stream alone. The metainfo of the replacing
    ``data_samples`` has ``damaged_files``, the messages about the replaced files, which `DamagedFileHook` counts.

    Args:
        dataset: config of an mmseg dataset, or the dataset; also a ``ConcatDataset`` or ``RepeatDataset`` of some.
        max_replacements: how often one draw is replaced before the error is raised; 0 = never. Only files that cannot
            be read or decoded are replaced, not labels with ids outside the table or of other sizes than their images.
    """

    def __init__(self, dataset: dict | Dataset, max_replacements: int = 0) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        list(plain_datasets(self.dataset, type(self).__name__))
        self.max_replacements = max_replacements
        self.full_init()

    @property
    def metainfo(self) -> dict:
        """Meta information of the wrapped dataset."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """List the files now, before workers are forked."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return len(self.dataset)

    def get_data_info(self, draw: SampleKey) -> dict:
        """Input of the pipeline: the data info of the drawn sample, see `info_at`. Subclasses choose another one."""
        return self.info_at(draw.index)

    def info_at(self, index: int) -> dict:
        """The data info of a sample, with the ``pipeline`` of the data set that it belongs to."""
        dataset, place = locate(self.dataset, index)
        return {**dataset.get_data_info(place), 'pipeline': dataset.pipeline}

    def __getitem__(self, draw: SampleKey) -> dict:
        """Run the pipeline on the drawn sample, or on its replacement; DamagedFileError or OSError if a file cannot be
        read and there are no replacements left, ValueError if it does not fit the data set or the pipeline returned
        nothing."""
        if not isinstance(draw, SampleKey):
            raise TypeError(
                f'{type(self).__name__} is indexed with a SampleKey, got {type(draw).__name__} {draw!r}: give '
                "its dataloader the sampler dict(type='SeededInfiniteSampler')"
            )
        damaged: list[str] = []
        while True:
            try:
                sample = self._load(draw)
            except (DamagedFileError, OSError) as error:
                if draw.attempt >= self.max_replacements:
                    raise
                damaged.append(str(error))
                draw = draw.replacement(len(self))
                continue
            if damaged:
                sample['data_samples'].set_metainfo({'damaged_files': damaged})
            return sample

    def _load(self, draw: SampleKey) -> dict:
        info = self.get_data_info(draw)
        pipeline = info.pop('pipeline')
        with isolated_randomness(draw.pipeline_seed()):
            sample = pipeline(info)
        if sample is None:
            raise ValueError(
                f'the pipeline of {type(self.dataset).__name__} returned None for '
                f'{info.get("img_path", "sample " + str(draw.index))}: correct or remove the transform that does'
            )
        return sample
