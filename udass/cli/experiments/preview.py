"""Preview a training without training: batches of its loaders, and the inputs that a method makes of them."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import udass.io.quiet_import  # noqa: F401  # isort: skip
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmseg.registry import RUNNERS

from udass.uda.clip import PassResult
from udass.uda.networks import unwrap


class Preview:
    """The first iterations of a training, or those after a given one, as they would be fed to the networks.

    Args:
        config: of the training.
        work_dir: folder for what a runner writes (a log); may be temporary.
        checkpoint: file whose networks make the pseudo-labels; None leaves them at random weights, which is faster than
            fetching start weights that say nothing of the classes either.
        iteration: the first one, counted from 0; methods that change on the way are then where they would be. The one
            before it is run unseen: mixing stores templates from one iteration to the next.
        passes: whether `passes` is going to be called; without, no network is run.
    """

    def __init__(
        self, config: Config, work_dir: Path, checkpoint: str | None = None, iteration: int = 0, passes: bool = True
    ) -> None:
        config = config.copy()
        config.update(work_dir=str(work_dir), resume=False, load_from=checkpoint, log_level='WARNING', custom_hooks=[])
        for name in ('val', 'test'):
            config.update({f'{name}_{part}': None for part in ('dataloader', 'cfg', 'evaluator')})
        self.runner = RUNNERS.build(config)
        self.model = unwrap(self.runner.model)
        if checkpoint is not None:
            self.runner.load_or_resume()
        self.loop = self.runner.train_loop
        # A method makes images of its own only if it mixes or masks.
        self.has_passes = passes and any(getattr(self.model, name, None) is not None for name in ('mixing', 'masking'))
        self.iteration = iteration
        self._unseen = int(self.has_passes and iteration > 0)
        self.model.iteration = iteration - self._unseen
        self.loop.dataloader.skip(iteration - self._unseen)

    @property
    def metainfo(self) -> dict:
        """Classes and palette of the source."""
        return self.loop.dataloader.dataset.metainfo

    def batches(self, number: int) -> Iterator[dict]:
        """Batches of ``number`` iterations, by domain; to be called once."""
        with closing(iter(self.loop.dataloader)) as batches:
            for batch in islice(batches, self._unseen):
                self.passes(batch)
            yield from islice(batches, number)

    def passes(self, batch: dict) -> dict[str, dict]:
        """The fields of the clip of each pass of an iteration, by name, for a batch of `batches` in their order; of the
        networks only the teacher is run."""
        model = self.model
        model.train()
        panels: dict[str, dict] = {}
        model.pass_hooks = [lambda name, clip: panels.update({name: vars(clip)})]
        # The step as it is, but its passes go through no network, and there is nothing to optimise.
        model.run_pass = lambda *arguments: PassResult(torch.zeros(()), {})
        model.adaptation_loss = None
        wrapper = OptimWrapper(torch.optim.SGD(model.student.parameters(), lr=0.0))
        model.train_step(batch, wrapper)
        return panels
