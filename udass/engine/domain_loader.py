"""The dataloaders of all domains as one: what the training loop iterates over."""

import re
from collections.abc import Generator, Iterator
from itertools import count

from torch.utils.data import DataLoader, Dataset, Sampler

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


def chain_of(error: BaseException) -> list[BaseException]:
    """An error and those that it came out of."""
    return [error] if error.__context__ is None else [error, *chain_of(error.__context__)]


def explain_loader_error(error: Exception) -> Exception:
    """An error that says what a loader lacked and which setting to change; other errors as they are."""
    texts = [f'{type(one).__name__}: {one}' for one in chain_of(error)]
    for pattern, meaning in _FAILURES:
        said = [text for text in texts if re.search(pattern, text)]
        if said:
            explained = ChildProcessError(
                f'{meaning}. Workers are set in train_dataloader.<domain>.num_workers and '
                f'val_dataloader.num_workers. Torch says: {said[0].strip()}'
            )
            explained.__cause__ = error
            return explained
    return error


class DomainLoader:
    """Several endless dataloaders, read in step.

    Iterating yields ``{'source': batch, 'target': batch, ...}`` without end; ``len`` is the number of iterations of
    the training run, because the streams themselves have no length.

    Args:
        loaders (dict[str, DataLoader]): domain -> loader with an endless sampler that has ``skip(num_samples)``. The
            first one is the domain whose metainfo counts (``source``).
        length (int): iterations of the training run.
        starts (dict[str, int] | None): domain -> first iteration whose batch has it; 0 for those that are not named.
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
        """Moves every stream to where it stands after that many iterations from its start; loads nothing.

        Call it before iterating: workers that run already have drawn ahead.
        """
        self._first = iterations
        for domain, loader in self.loaders.items():
            loader.sampler.skip(max(iterations - self.starts[domain], 0) * loader.batch_size)


class DomainIterator:
    """Iterator over a :class:`DomainLoader` that starts its workers with the first batch, not before.

    Args:
        loader (DomainLoader): what to iterate over.
    """

    def __init__(self, loader: DomainLoader) -> None:
        self._loader = loader
        self._iterator: Generator[dict, None, None] | None = None

    def __iter__(self) -> 'DomainIterator':
        return self

    def __next__(self) -> dict:
        if self._iterator is None:
            self._iterator = iter(self._loader)
        return next(self._iterator)

    def skip_iter(self, num_iters: int) -> None:
        """Continues ``num_iters`` iterations after the start of the streams (see :meth:`DomainLoader.skip`)."""
        self._loader.skip(num_iters)
        self.close()

    def close(self) -> None:
        """Ends the workers. Left to the garbage collector, each can take 5 seconds to go."""
        if self._iterator is not None:
            self._iterator.close()
            self._iterator = None
