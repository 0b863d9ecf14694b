"""What the loaders of a config cost."""

import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path

import cv2
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmseg.registry import DATASETS
from torch.utils.data import DataLoader

from udass.benchmark.baselines import reload_and_retry
from udass.benchmark.timing import Timing, ratio, time_in_turns
from udass.datasets.sampling.rare_class import RareClassDataset
from udass.datasets.sampling.streams import SampleKey, SeededDataset, SeededInfiniteSampler, isolated_randomness
from udass.engine.data_loader import disable_malloc_trim

# What must be done for any crop: both files are read and brought to the size of the training.
_NEEDED = (
    'LoadImage',
    'LoadLabels',
    'LoadClip',
    'LoadClipLabels',
    'Resize',
    'RandomResize',
    'ClipResize',
    'ResizeToCover',
)
_CPU = torch.device('cpu')


class DecodedOnly(SeededDataset):
    """The same draws, decoded and resized, and then thrown away: what no loader can do without."""

    def _load(self, draw: SampleKey) -> int:
        results = self.get_data_info(draw)
        with isolated_randomness(draw.pipeline_seed()):
            for transform in self.dataset.pipeline.transforms:
                if type(transform).__name__ in _NEEDED:
                    results = transform(results)
        return results['img'].shape[0]


def source_config(config: Config, data_root: Path | None) -> dict:
    """The source data set of a config, with drawn files in its place if ``data_root`` is given.

    Raises:
        ValueError: drawn files have the layout of GTA, and the source is another data set.
    """
    source = config.to_dict()['train_dataloader']['source']['dataset']
    if data_root is None:
        return source
    if source['type'] != 'GTA':
        raise ValueError(
            f'drawn pictures take the place of GTA, but the source of this config is {source["type"]}: '
            'use a gta2cs config, or leave --published-sizes out to measure with your own files'
        )
    return {**source, 'data_root': str(data_root)}


def transform_times(dataset: BaseDataset, samples: int) -> dict[str, float]:
    """Median milliseconds of each transform of a pipeline, in its order, over the first files."""
    times: dict[str, list[float]] = defaultdict(list)
    for index in range(samples):
        results = dataset.get_data_info(index % len(dataset))
        with isolated_randomness(index):
            for transform in dataset.pipeline.transforms:
                start = time.perf_counter()
                results = transform(results)
                times[type(transform).__name__].append(1e3 * (time.perf_counter() - start))
    return {name: Timing(tuple(values)).median for name, values in times.items()}


def _steady_loader(
    dataset: SeededDataset, start: Callable[[int], None] | None, batch: int, workers: int, batches: int
) -> float:
    """Seconds per sample over a stretch of batches, once the workers are in step."""
    loader = DataLoader(
        dataset,
        batch_size=batch,
        sampler=SeededInfiniteSampler(dataset, seed=0),
        num_workers=workers,
        collate_fn=pseudo_collate,
        worker_init_fn=start,
    )
    iterator = iter(loader)
    # What was fetched ahead, and one round of all workers.
    for _ in islice(iterator, 2 * 2 * max(workers, 1)):
        pass
    begin = time.perf_counter()
    for _ in islice(iterator, batches):
        pass
    seconds = (time.perf_counter() - begin) / (batches * batch)
    # Ends the workers before the next stretch is measured.
    del iterator
    return seconds


def _like_the_loop(worker_id: int) -> None:
    disable_malloc_trim()


def throughput(source: dict, batch: int, workers: int, batches: int, repeats: int) -> dict:
    """Seconds per sample that a loader delivers as the training loop starts it, and of decoding and resizing alone with
    as many processes, started likewise and plainly (see `disable_malloc_trim`)."""
    whole, needed = SeededDataset(source), DecodedOnly(source)
    loaders = {
        'loader': (whole, _like_the_loop),
        'decode and resize': (needed, _like_the_loop),
        'decode and resize, plain workers': (needed, None),
    }
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(repeats):
        for name in list(loaders)[:: 1 if number % 2 == 0 else -1]:
            seconds[name].append(_steady_loader(*loaders[name], batch, workers, batches))
    timings = {name: Timing(tuple(values)) for name, values in seconds.items()}
    return {
        'batch': batch,
        'workers': workers,
        'seconds_per_sample': {k: v.to_dict() for k, v in timings.items()},
        'samples_per_second': 1 / timings['loader'].median,
        'ratios': {name: ratio(timings['loader'], timing) for name, timing in timings.items() if name != 'loader'},
    }


def rare_class_sampling(source: dict, sampling: dict, samples: int, repeats: int) -> dict:
    """Rare-class sampling beside reloading a file until a blind crop shows the class, for the same draws."""
    sampling = {key: value for key, value in sampling.items() if key != 'type'}
    dataset = RareClassDataset(dataset=DATASETS.build(source), **sampling)
    draws = list(islice(SeededInfiniteSampler(dataset, seed=0), samples))
    loads: list[int] = []

    def once(info: dict) -> dict:
        return dataset.dataset.pipeline(dict(info))

    def again_and_again() -> None:
        for draw in draws:
            info = dataset.get_data_info(draw)
            wanted, min_pixels = info.pop('rare_class'), info.pop('rare_class_min_pixels')
            with isolated_randomness(draw.pipeline_seed()):
                loads.append(reload_and_retry(partial(once, info), wanted, min_pixels)[1])

    timings = time_in_turns(
        {'udass': lambda: [dataset[draw] for draw in draws], 'reload and retry': again_and_again}, repeats, 1, _CPU
    )
    return {
        'samples': samples,
        'loads_per_sample': sum(loads) / len(loads),
        'times': {
            name: Timing(tuple(value / samples for value in timing.seconds)).to_dict()
            for name, timing in timings.items()
        },
        'ratio': ratio(timings['reload and retry'], timings['udass']),
    }


def benchmark_loader(
    config: Config, data_root: Path | None, workers: int, repeats: int, samples: int = 16, batches: int = 24
) -> dict:
    """Transforms, throughput and rare-class sampling of the source of a config.

    Args:
        config: with data sets.
        data_root: see `source_config`.
        workers: processes that load.
        repeats: stretches of each loader.
        samples: pictures per repeat where one process loads.
        batches: per repeat of a loader.
    """
    # As in training: threads of OpenCV in several processes only compete.
    cv2.setNumThreads(0)
    source = source_config(config, data_root)
    dataset = DATASETS.build(source)
    result = {
        'pictures': len(dataset),
        'transforms_ms': transform_times(dataset, samples),
        'throughput': throughput(source, config.train_dataloader.source.batch_size, workers, batches, repeats),
    }
    sampling = config.train_cfg.get('source_sampling')
    if sampling is not None and sampling['type'] == 'RareClassDataset':
        result['rare_class'] = rare_class_sampling(source, sampling, samples, repeats)
    return result
