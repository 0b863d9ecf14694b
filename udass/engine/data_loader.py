"""The dataloaders of all domains as one, their configs, and what their failures mean."""

import ctypes
import re
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from itertools import count

import torch
from mmengine.runner import Runner
from mmseg.models.decode_heads import STDCHead
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from udass.engine.interrupt import ignore_signals

# From malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_MAX, _LARGEST = -1, -4, 2**31 - 1
# What torch says of loaders that failed for want of something, and what it means.
_FAILURES = (
    (
        r'Too many open files|ancdata',
        'too few file descriptors: raise the limit (`ulimit -n 65536` before the command), or use fewer workers',
    ),
    (
        r'[Bb]us error|shared memory|/torch_',
        'the shared memory /dev/shm is full: enlarge it (docker run --shm-size=16g), or use fewer workers or smaller '
        'batches',
    ),
    (
        r'killed by signal: Killed|exited unexpectedly|^Connection\w+Error|^EOFError',
        'a loader worker was killed from outside, most likely by the kernel for want of memory (see `dmesg`): use '
        'fewer workers, a smaller prefetch_factor, or a machine with more memory',
    ),
    (r'killed by signal', 'a loader worker crashed in compiled code: find the image with num_workers=0'),
    (
        r'DataLoader timed out',
        'the workers gave no batch for that long: the disk or network does not answer, or they block each other. Raise '
        '`timeout` of the dataloader if reading takes that long',
    ),
)


class DomainLoader:
    """Several endless dataloaders, read in step.

    Iterating yields ``{'source': batch, 'target': batch, ...}`` without end, and starts the workers with the first
    batch. ``len`` is the number of iterations of the training, because the streams themselves have no length.

    Args:
        loaders: domain -> loader with an endless sampler that has ``skip(num_samples)``; the first one is the source.
        length: iterations of the training.
        starts: domain -> first iteration whose batch has it; 0 for those that are not named.
    """

    def __init__(self, loaders: dict[str, DataLoader], length: int, starts: dict[str, int] | None = None) -> None:
        self.loaders = loaders
        self.length = length
        self.starts = {domain: (starts or {}).get(domain, 0) for domain in loaders}
        self._first = 0

    @property
    def dataset(self) -> Dataset:
        """Dataset of the first domain: what hooks and checkpoints take ``metainfo`` from."""
        return next(iter(self.loaders.values())).dataset

    @property
    def sampler(self) -> Sampler:
        """Sampler of the first domain, where mmengine's hooks look for one."""
        return next(iter(self.loaders.values())).sampler

    @property
    def has_workers(self) -> bool:
        """Whether every stream is read by processes of its own, so that this one only waits for them."""
        return all(loader.num_workers > 0 for loader in self.loaders.values())

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Generator[dict, None, None]:
        iterators: dict[str, Iterator] = {}
        for iteration in count(self._first):
            for domain, loader in self.loaders.items():
                if domain not in iterators and iteration >= self.starts[domain]:
                    iterators[domain] = iter(loader)
            yield {domain: next(iterator) for domain, iterator in iterators.items()}

    def skip(self, iterations: int) -> None:
        """Moves every stream to where it is after that many iterations from its start, before iterating; loads
        nothing."""
        self._first = iterations
        for domain, loader in self.loaders.items():
            loader.sampler.skip(max(iterations - self.starts[domain], 0) * loader.batch_size)


def domain_configs(
    dataloader: Mapping,
    domains: Sequence[str],
    source_sampling: dict | None = None,
    long_tail: dict | None = None,
    batches: int = 1,
) -> dict[str, dict]:
    """Dataloader config per stream, with the dataset wrapped and the sampler set, so many of its batches in one; other
    arguments as of `UDATrainLoop`."""
    if not isinstance(dataloader, Mapping):
        raise TypeError(f'train_dataloader must be a dict of one dataloader config per domain, got {dataloader!r}')
    missing = [domain for domain in domains if domain not in dataloader]
    if missing or not domains:
        raise ValueError(
            f'train_dataloader has no config for domain {", ".join(missing) or "(none is named)"}; it has '
            f'{", ".join(dataloader)}. Add train_dataloader.<domain> or change train_cfg.domains'
        )
    wrappers: dict[str, dict] = {domain: {'type': 'SeededDataset'} for domain in domains}
    if source_sampling is not None:
        wrappers[domains[0]] = source_sampling
    configs = {domain: _stream_config(dataloader[domain], domain, wrapper) for domain, wrapper in wrappers.items()}
    for config in configs.values():
        config['batch_size'] *= batches
    if long_tail is not None:
        source = {**dataloader[domains[0]], 'batch_size': configs[domains[0]]['batch_size']}
        configs['long_tail'] = _long_tail_config(source, long_tail)
    return configs


def _stream_config(loader: Mapping, stream: str, wrapper: Mapping) -> dict:
    own = [key for key in ('sampler', 'batch_sampler') if key in loader]
    if own or 'dataset' not in loader or 'batch_size' not in loader:
        raise ValueError(
            f'train_dataloader.{stream} must have batch_size and dataset and no sampler (the loop sets it), got the '
            f'keys {", ".join(loader)}'
        )
    sampler = {'type': 'SeededInfiniteSampler', 'stream': stream}
    return {**loader, 'dataset': {**wrapper, 'dataset': loader['dataset']}, 'sampler': sampler}


def _long_tail_config(source: Mapping, long_tail: dict) -> dict:
    wrapper = {'type': 'LongTailDataset', 'draws': 2, **long_tail}
    mixes, pipeline = wrapper.pop('mixes', 2), wrapper.pop('pipeline', None)
    wrapper['images_per_draw'] = mixes * source['batch_size']
    if pipeline is not None:
        source = {**source, 'dataset': _with_pipeline(source['dataset'], pipeline)}
    config = _stream_config(source, 'long_tail', wrapper)
    return {**config, 'batch_size': wrapper['draws'] * wrapper['images_per_draw']}


def _with_pipeline(dataset: Mapping, pipeline: Sequence) -> dict:
    """The config of a data set, or of several that are joined, with another pipeline."""
    if 'datasets' in dataset:
        return {**dataset, 'datasets': [_with_pipeline(part, pipeline) for part in dataset['datasets']]}
    if 'dataset' in dataset:
        return {**dataset, 'dataset': _with_pipeline(dataset['dataset'], pipeline)}
    return {**dataset, 'pipeline': pipeline}


def build_loader(runner: Runner, config: dict) -> DataLoader:
    """The dataloader of one stream; batches are in pinned memory where there is a GPU, unless the config says not."""
    loader = runner.build_dataloader({'pin_memory': torch.cuda.is_available(), **config}, seed=runner.seed)
    loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
    # By default a loader draws its workers' seed from torch's global generator when it starts; a resumed run would
    # draw it at another time than the uninterrupted one.
    loader.generator = torch.Generator().manual_seed(runner.seed)
    return loader


def check_same_classes(loaders: dict[str, DataLoader]) -> None:
    """Raises ValueError if the domains have different classes."""
    classes = {domain: tuple(loader.dataset.metainfo['classes']) for domain, loader in loaders.items()}
    first, expected = next(iter(classes.items()))
    for domain, names in classes.items():
        if names != expected:
            raise ValueError(
                f'{domain} has other classes than {first}: {names} against {expected}. Every domain must map its label '
                'ids to the same classes in the same order'
            )


def check_class_count(model: nn.Module, dataset: object) -> None:
    """Raises ValueError if a segmentation head of the model has another number of classes than the dataset."""
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    if classes is None:
        return
    for name, head in model.named_modules():
        # Heads of edges and attention maps that all classes share have numbers of their own.
        if not isinstance(head, BaseDecodeHead) or isinstance(head, STDCHead) or name.endswith('scale_attention'):
            continue
        if head.num_classes != len(classes):
            raise ValueError(
                f'{name} has num_classes={head.num_classes}, but {type(dataset).__name__} has {len(classes)} classes '
                f'({", ".join(classes)}). Set model.num_classes={len(classes)}, which all heads of the network follow, '
                'or choose the dataset it was made for'
            )


def start_worker(init_fn: Callable[[int], None] | None, worker_id: int) -> None:
    """Worker start of a dataloader, before its own ``init_fn``: leaves interrupts to the training process.

    A terminal sends Ctrl-C to the workers as well, and a cluster its signals. A worker that died of one would raise an
    error in the training process. One that ignores it, or leaves with status 0, does not.
    """
    disable_malloc_trim()
    ignore_signals()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if init_fn is not None:
        init_fn(worker_id)


def disable_malloc_trim() -> bool:
    """Lets this process keep memory that it frees, instead of giving it back and requesting it again; returns whether
    the C library can do this (the GNU one can).

    A loader worker makes and drops images of many megabytes per sample, a network on the CPU activations. By default
    each of them is new pages, which the kernel must clear. The process then holds what it needed at its peak, and more
    where sizes vary much. It cannot be undone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))


def chain_of(error: BaseException) -> list[BaseException]:
    """An error and those during whose handling it was raised."""
    return [error] if error.__context__ is None else [error, *chain_of(error.__context__)]


def explain_loader_error(error: Exception) -> Exception:
    """An error that says what a loader lacked and which setting to change; other errors as they are."""
    texts = [f'{type(one).__name__}: {one}' for one in chain_of(error)]
    for pattern, meaning in _FAILURES:
        matching = [text for text in texts if re.search(pattern, text)]
        if matching:
            explained = ChildProcessError(
                f'{meaning}. Workers are set in train_dataloader.<domain>.num_workers and val_dataloader.num_workers. '
                f'Torch says: {matching[0].strip()}'
            )
            explained.__cause__ = error
            return explained
    return error
