"""What a training step costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict, build_optim_wrapper
from mmseg.registry import DATASETS, MODELS

from udass.benchmark.batches import random_batch
from udass.benchmark.clock import StageClock, stages_of, summarize
from udass.benchmark.memory import peak_memory
from udass.benchmark.timing import ratio, time_in_turns
from udass.engine.data_loader import disable_malloc_trim
from udass.engine.optim import checkpoint_without_reentry, compile_networks, use_channels_last, with_mixed_precision
from udass.uda import DomainAdapter
from udass.uda.checks import check_optimizers

# Steps before the peak of memory is looked for: templates and the optimizer's state are there then.
_STEPS_TO_FILL = 2


@dataclass
class Training:
    """A method that trains on made-up data.

    Attributes:
        model: on its device, in training.
        optimizer: its optimizer wrapper or wrappers.
        batch, size: samples of each domain, and (H, W) of their crops.
        long_tail_draws: rare classes that are pasted per step.
    """

    model: DomainAdapter
    optimizer: OptimWrapper | OptimWrapperDict
    batch: int
    size: tuple[int, int]
    long_tail_draws: int
    number: int = 0

    def data(self) -> dict:
        """The next step's batches."""
        self.number += 1
        return random_batch(self.model, self.batch, self.size, self.number, self.long_tail_draws)

    def step(self, data: dict) -> None:
        """One step."""
        self.model.train()
        self.model.train_step(data, self.optimizer)


def build_training(config: Config, batch: int, size: tuple[int, int], device: torch.device) -> Training:
    """The model and optimizer of a config with random weights, at a point of the training where all passes run.

    Raises:
        ValueError: the model is no `DomainAdapter`.
    """
    torch.manual_seed(0)
    settings = config.to_dict()
    if 'student' in settings['model']:
        leave_start_weights_out(settings['model']['student']['backbone'])
    model = MODELS.build(settings['model'])
    if not isinstance(model, DomainAdapter):
        raise ValueError(f'the model of a benchmark of steps is a DomainAdapter; got {type(model).__name__}')
    model.init_weights()
    model.use_metainfo(metainfo_of(settings))
    model.to(device)
    checkpoint_without_reentry(model)
    if settings.get('channels_last'):
        use_channels_last(model)
    if settings.get('compile'):
        compile_networks(model, {} if settings['compile'] is True else settings['compile'])
    wrapper = settings['optim_wrapper']
    if settings.get('amp'):
        wrapper = with_mixed_precision(wrapper, settings['amp'])
    optimizer = build_optim_wrapper(model, wrapper)
    starts = [getattr(part, 'start_iter', 0) for part in (model.mixing, model.feature_mixing)]
    model.iteration = max(starts)
    draws = settings['train_cfg'].get('long_tail') or {}
    return Training(model, optimizer, batch, size, draws.get('draws', 2) if draws else 0)


def leave_start_weights_out(backbone: dict) -> None:
    """Let a backbone's config start from random weights: they cost the same, and nothing has to be fetched first."""
    backbone.pop('init_cfg', None)
    if backbone['type'].startswith('Timm'):
        backbone.update(checkpoint=None, pretrained=False)


def metainfo_of(settings: dict) -> dict:
    """What the source data set of a config says of its classes, without looking for its files."""
    source = settings['train_dataloader']['source']['dataset']
    dataset = DATASETS.get(source['type'])
    return {**dataset.METAINFO, **source.get('metainfo', {})}


def measure_stages(training: Training, repeats: int, warmup: int, device: torch.device) -> dict:
    """See `summarize`; measured with a clock that waits for the device at every border."""
    optimizer = check_optimizers(training.model.adaptation_loss, training.optimizer)[0]
    steps = []
    for number in range(warmup + repeats):
        data, clock = training.data(), StageClock(device)
        with stages_of(training.model, optimizer, clock), clock.stage('step'):
            training.step(data)
        if number >= warmup:
            steps.append(dict(clock.seconds))
    return summarize(steps)


def measure_memory(build: Callable[[], Training], device: torch.device) -> int:
    """Peak bytes of a step with everything that it needs: networks, optimizer's state, templates."""

    def run() -> Training:
        training = build()
        for _ in range(_STEPS_TO_FILL + 1):
            training.step(training.data())
        return training

    return peak_memory(run, device)


def benchmark_step(
    configs: dict[str, Config],
    batches: Sequence[int],
    sizes: Sequence[tuple[int, int]],
    repeats: int,
    warmup: int,
    device: torch.device,
) -> dict:
    """Time, stages and memory of a step of each config at each batch and crop size; all steps are timed in turns.

    Args:
        configs: by the name under which to report.
        batches: numbers of samples per domain.
        sizes: (H, W) of crops.

    Returns:
        dict: ``rows``, and ``ratios`` of the second config's time and memory to the first one's, if there are two.
    """
    if device.type == 'cpu':
        # As the training loop does.
        disable_malloc_trim()
    builds = {
        (name, batch, size): partial(build_training, config, batch, size, device)
        for name, config in configs.items()
        for batch in batches
        for size in sizes
    }
    trainings = {key: build() for key, build in builds.items()}

    timings = time_in_turns(
        {str(key): training.step for key, training in trainings.items()},
        repeats,
        warmup,
        device,
        prepare={str(key): training.data for key, training in trainings.items()},
    )
    rows = []
    for key, training in trainings.items():
        name, batch, size = key
        timing = timings[str(key)]
        rows.append(
            {
                'config': name,
                'batch': batch,
                'size': list(size),
                **timing.to_dict(),
                'microseconds_per_pixel': 1e6 * timing.median / (batch * size[0] * size[1]),
                **measure_stages(training, repeats, 1, device),
            }
        )
    # None may stay on the device beside what is measured next.
    del training, trainings
    for key, row in zip(builds, rows, strict=True):
        row['peak_bytes'] = measure_memory(builds[key], device)
    result: dict = {'rows': rows}
    if len(configs) == 2:
        first, second = configs
        result['ratios'] = [
            {
                'batch': batch,
                'size': list(size),
                'time': ratio(timings[str((second, batch, size))], timings[str((first, batch, size))]),
            }
            for batch in batches
            for size in sizes
        ]
        for number, entry in enumerate(result['ratios']):
            entry['memory'] = rows[number + len(result['ratios'])]['peak_bytes'] / rows[number]['peak_bytes']
    return result
