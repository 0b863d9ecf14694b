"""Resuming with other settings: what changed, what is refused, and how the config wins over the checkpoint."""

import re
import warnings
from collections.abc import Sequence

from mmengine.optim import OptimWrapper, OptimWrapperDict, _ParamScheduler
from torch import nn

from udass.engine.checkpoint import to_plain
from udass.engine.renamed import with_new_names
from udass.io.settings import flat_settings, parse_settings

# Settings that only say where from and where to.
_ABOUT_THE_START = {'work_dir', 'resume', 'load_from', 'launcher', 'experiment_name', 'custom_imports'}
# Settings that change nothing, or would mix up two trainings, once there is a checkpoint; and why.
_REFUSED = (
    (r'(randomness|model)\.seed', 'the random streams of the checkpoint go on'),
    (r'model\..*\b(init_cfg\b.*|pretrained|backbone\.checkpoint)', 'the weights are those of the checkpoint'),
    (
        r'optim_wrapper\.(.*\.)?(optimizer\.type|amsgrad|centered|constructor)',
        'the moments of one optimizer mean nothing to another',
    ),
    (r'optim_wrapper\.(.*\.)?initial_scale', 'the loss scale is that of the checkpoint'),
)
# What a scheduler counts; everything else that it holds comes from the config.
_COUNTERS = {'last_step', '_global_step', '_last_value', 'best', 'num_bad_epochs', 'cooldown_counter'}


def check_resumable(
    checkpoint: dict, filename: str, seed: int, config: str, classes: Sequence[str] | None
) -> dict[str, tuple[str, str]]:
    """Checks a checkpoint before anything of it is loaded; returns the settings that changed since, see
    `changed_settings`.

    Args:
        seed, config, classes: those of the run that is to continue it; the config as mmengine writes it.

    Raises:
        ValueError: the file holds no training state, was trained with another seed or on other classes, or the config
            has settings that cannot be changed on resume.
    """
    meta = checkpoint.get('meta', {})
    missing = [name for name in ('iter', 'epoch') if name not in meta]
    missing += [name for name in ('message_hub', 'optimizer') if name not in checkpoint]
    if missing:
        raise ValueError(
            f'{filename} holds no training state ({", ".join(missing)} is missing), so it cannot be resumed. To start '
            f'a new training from its weights, set load_from={filename}'
        )
    if meta.get('seed', seed) != seed:
        raise ValueError(
            f'{filename} was trained with seed {meta["seed"]}, this run has seed {seed}: the data streams would '
            f'differ. Resume with --seed {meta["seed"]}'
        )
    changes = changed_settings(meta['cfg'], config, filename) if 'cfg' in meta else {}
    check_changes(changes, filename)
    before = (meta.get('dataset_meta') or {}).get('classes')
    if before is not None and classes is not None and list(before) != list(classes):
        raise ValueError(
            f'{filename} was trained on the classes {", ".join(before)}, this run has {", ".join(classes)}: the '
            'outputs of the networks would mean other classes. Set the classes back, or start a new training'
        )
    return changes


def changed_settings(before: str, now: str, path: str) -> dict[str, tuple[str, str]]:
    """Dotted key -> (old, new) for each setting that differs between two configs (``Config.pretty_text``), as source
    text."""
    old, new = settings_of(before, path), settings_of(now, 'this config')
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {key: (old.get(key, 'not set'), new.get(key, 'not set')) for key in keys}


def settings_of(text: str, path: str) -> dict[str, str]:
    """Dotted key -> source text of the value for each setting of a config, as mmengine writes it, without those that
    only say from where the training starts and where it writes."""
    settings = with_new_names(parse_settings(text, path))
    wanted = {key: value for key, value in settings.items() if key not in _ABOUT_THE_START}
    return {path: repr(value) for path, value in flat_settings(wanted) if path}


def check_changes(changes: dict[str, tuple[str, str]], filename: str) -> None:
    """Raises ValueError, with old and new values, for settings that have no effect on a training that has begun."""
    # A file that has only moved is the same.
    refused = [
        f'{key} was {old} and is now {new}, but {reason}'
        for key, (old, new) in changes.items()
        for pattern, reason in _REFUSED
        if re.fullmatch(pattern, key) and old.split('/')[-1] != new.split('/')[-1]
    ]
    if refused:
        raise ValueError(
            f'{filename} cannot be resumed with these settings: {"; ".join(refused)}. Set them back, or start a new '
            f'training from these networks in another work dir with load_from={filename}'
        )


def resume_optimizers(
    optim_wrapper: OptimWrapper | OptimWrapperDict,
    schedulers: dict | list | None,
    checkpoint: dict,
    iteration: int,
    model: nn.Module,
) -> bool:
    """Takes over moments and loss scales from a checkpoint, while rates, options and schedules are the config's;
    returns whether the schedules or the rates at their start changed, so that they were computed anew.

    Args:
        schedulers: one list per optimizer wrapper or one in all.
        checkpoint: with ``optimizer`` and ``param_schedulers``. ValueError if the optimizer has other parameters, or a
            schedule that follows the validations changed.
        iteration: iterations that are done.
        model: what the optimizers train.
    """
    state, saved = checkpoint['optimizer'], checkpoint.get('param_schedulers') or {}
    wrappers, lists = _by_name(optim_wrapper), _by_name(schedulers or {})
    states = {'': state} if 'param_groups' in state else state
    saved = saved if isinstance(saved, dict) else {'': saved}
    if wrappers.keys() != states.keys():
        raise ValueError(
            f'the checkpoint has optimizers for {", ".join(states) or "one model"}, this method for '
            f'{", ".join(wrappers) or "one model"}: start a new training from its networks with load_from'
        )
    order = {parameter: number for number, parameter in enumerate(model.parameters())}
    changed = [
        _resume_optimizer(wrapper, lists.get(name, []), states[name], saved.get(name, []), iteration, order)
        for name, wrapper in wrappers.items()
    ]
    return any(changed)


def _by_name(parts: object) -> dict:
    """What belongs to the optimizer of each part of a model, under the name of the part; '' if there is only one."""
    return dict(parts.items()) if isinstance(parts, (dict, OptimWrapperDict)) else {'': parts}


def all_schedulers(schedulers: dict | list | None) -> list[_ParamScheduler]:
    """Those of one optimizer or of several."""
    return [scheduler for one in _by_name(schedulers or {}).values() for scheduler in one]


def _resume_optimizer(
    wrapper: OptimWrapper,
    schedulers: list[_ParamScheduler],
    state: dict,
    saved: list[dict],
    iteration: int,
    order: dict[nn.Parameter, int],
) -> bool:
    options = [{key: value for key, value in group.items() if key != 'params'} for group in wrapper.param_groups]
    try:
        state, saved = _in_groups_of(wrapper, state, saved, order)
        wrapper.load_state_dict(state)
    except ValueError as error:
        raise ValueError(
            f'the optimizer of the checkpoint does not fit: {error}. The parameters that are trained (frozen_stages, '
            'components of the model) changed. Set them back, or start a new training from the networks with load_from'
        ) from error
    changed = [_from_config(scheduler.state_dict()) for scheduler in schedulers] != list(map(_from_config, saved))
    scheduled = {scheduler.param_name for scheduler in schedulers}
    # Momentum schedulers change what the optimizer has for it.
    scheduled |= {'betas'} if 'momentum' in scheduled else set()
    for group, own in zip(wrapper.param_groups, options, strict=True):
        for key in group.keys() - own.keys() - {'params'}:
            del group[key]
        group.update({key: value for key, value in own.items() if changed or key not in scheduled})
    if changed:
        _replay(schedulers, iteration)
    else:
        for scheduler, one in zip(schedulers, saved, strict=True):
            scheduler.load_state_dict(one)
    return changed


def _in_groups_of(
    wrapper: OptimWrapper, state: dict, schedules: list[dict], order: dict[nn.Parameter, int]
) -> tuple[dict, list[dict]]:
    """A saved optimizer and its schedules in the parameter groups of this run; ValueError if others were trained.

    Parameters are found by their names. Checkpoints of earlier versions have none: their parameters, mostly one per
    group, are in the order of the model.
    """
    groups, before = wrapper.optimizer.param_groups, state['param_groups']
    if 'param_names' not in groups[0]:  # An optimizer that the runner did not build.
        return state, schedules
    own = {one: name for group in groups for one, name in zip(group['params'], group['param_names'], strict=True)}
    names = [name for group in before for name in group.get('param_names', ())]
    names = names or [own[parameter] for parameter in sorted(own, key=order.__getitem__)]
    places = [(number, index) for number, group in enumerate(before) for index in group['params']]
    if len(places) != len(own) or set(names) != set(own.values()):
        differing = sorted(set(names) ^ set(own.values()))[:3]
        raise ValueError(
            f'it has {len(places)} parameters, this run trains {len(own)}'
            + (f'; only one of them has {", ".join(differing)}' if differing else '')
        )
    found = dict(zip(names, places, strict=True))
    origins = [sorted({found[name][0] for name in group['param_names']}) for group in groups]
    regrouped = [
        {**before[numbers[0]], 'params': [found[name][1] for name in group['param_names']]}
        for group, numbers in zip(groups, origins, strict=True)
    ]

    state = {**state, 'param_groups': regrouped}
    # mmengine adds a group with the optimizer's own options where there is more than one.
    has_base = wrapper.base_param_settings is not None
    if not has_base:
        state.pop('base_param_settings', None)

    def values_of(values: list[float]) -> list[float]:
        if any(values[number] != values[numbers[0]] for numbers in origins for number in numbers):
            return []  # What had different rates has one now: the schedule has changed.
        return [values[numbers[0]] for numbers in origins] + values[len(before) :] * has_base

    lists = ('base_values', '_last_value', 'min_values')
    schedules = [{**one, **{key: values_of(one[key]) for key in lists if key in one}} for one in schedules]
    return state, schedules


def _from_config(state: dict) -> dict:
    """What a scheduler holds from the config, rates at the start included."""
    return {key: value for key, value in to_plain(state).items() if key not in _COUNTERS}


def _replay(schedulers: list[_ParamScheduler], iteration: int) -> None:
    """Brings schedulers and rates from the start to an iteration, step by step: each value follows from the last."""
    following = [type(scheduler).__name__ for scheduler in schedulers if getattr(scheduler, 'need_val_args', False)]
    if following:
        raise ValueError(f'{following[0]} depends on the validations so far: set back what was changed of it')
    with warnings.catch_warnings():
        # Of schedulers that step before their optimizer.
        warnings.simplefilter('ignore')
        for _ in range(iteration):
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
