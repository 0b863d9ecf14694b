"""Results of measurements as text."""

from collections.abc import Callable, Mapping, Sequence

from prettytable import PrettyTable

_MEGABYTE = 2**20


def to_text(suite: str, result: Mapping) -> str:
    """What a suite of ``tools/benchmark.py`` measured, as tables."""
    return _WRITERS[suite](result)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    table = PrettyTable(list(head))
    table.align = 'r'
    table.align[head[0]] = 'l'
    table.add_rows([list(row) for row in rows])
    return table.get_string()


def _seconds(timing: Mapping) -> str:
    """Median and quartiles, in milliseconds."""
    return f'{1e3 * timing["median"]:.1f} ({1e3 * timing["low"]:.1f} to {1e3 * timing["high"]:.1f})'


def _ratio(value: Mapping) -> str:
    return f'{value["median"]:.2f} ({value["low"]:.2f} to {value["high"]:.2f})'


def _size(size: Sequence[int]) -> str:
    return f'{size[0]}x{size[1]}'


def _step(result: Mapping) -> str:
    parts = [
        _table(
            ['step of', 'batch', 'crop', 'ms', 'us per pixel', 'networks', 'peak MiB'],
            [
                [
                    row['config'],
                    row['batch'],
                    _size(row['size']),
                    _seconds(row),
                    f'{row["microseconds_per_pixel"]:.2f}',
                    f'{100 * row["networks"]:.1f} %',
                    f'{row["peak_bytes"] / _MEGABYTE:.0f}',
                ]
                for row in result['rows']
            ],
        )
    ]
    for row in result['rows']:
        parts += [f'\n{row["config"]}, batch {row["batch"]}, crops of {_size(row["size"])}: ms']
        for name in ('stages', 'kinds'):
            items = sorted(row[name].items(), key=lambda item: -item[1])
            parts.append('  ' + ', '.join(f'{key} {1e3 * value:.1f}' for key, value in items))
    for entry in result.get('ratios', ()):
        parts.append(
            f'\nsecond to first, batch {entry["batch"]}, crops of {_size(entry["size"])}: time '
            f'{_ratio(entry["time"])}, memory {entry["memory"]:.2f}'
        )
    return '\n'.join(parts)


def _loader(result: Mapping) -> str:
    throughput = result['throughput']
    parts = [
        _table(
            ['transform of the source', 'ms'],
            [[name, f'{value:.1f}'] for name, value in result['transforms_ms'].items()],
        ),
        f'\n{throughput["workers"]} workers, batches of {throughput["batch"]}: '
        f'{throughput["samples_per_second"]:.1f} samples per second',
        _table(
            ['ms per sample', 'median (quartiles)'],
            [[name, _seconds(value)] for name, value in throughput['seconds_per_sample'].items()],
        ),
        *(f'loader to {name}: {_ratio(value)}' for name, value in throughput['ratios'].items()),
    ]
    if 'rare_class' in result:
        rare = result['rare_class']
        parts += [
            _table(['rare-class sample', 'ms'], [[name, _seconds(value)] for name, value in rare['times'].items()]),
            f'reload and retry ({rare["loads_per_sample"]:.1f} loads per sample) to udass: {_ratio(rare["ratio"])}',
        ]
    return '\n'.join(parts)


def _infer(result: Mapping) -> str:
    rows = [
        [
            row['config'],
            row['batch'],
            _size(row['size']),
            _seconds(row),
            f'{row["images_per_second"]:.2f}',
            f'{row["peak_bytes"] / _MEGABYTE:.0f}',
        ]
        for row in result['rows']
    ]
    text = _table(['inference of', 'batch', 'picture', 'ms per batch', 'pictures per s', 'peak MiB'], rows)
    return text + (f'\nsecond to first: {_ratio(result["ratio"])}' if 'ratio' in result else '')


def _mix(result: Mapping) -> str:
    parts = []
    for name, what in (
        ('mixing', f'QuadMix, {result["mixing"]["batch"]} x {_size(result["mixing"]["size"])}'),
        ('ema', f'EMA of {result["ema"]["parameters"] / 1e6:.1f} M parameters'),
    ):
        times, ratios = result[name]['times'], result[name]['ratios']
        parts.append(
            _table(
                [what, 'ms', 'ratio'],
                [[key, _seconds(value), _ratio(ratios[key]) if key in ratios else ''] for key, value in times.items()],
            )
        )
    return '\n'.join(parts)


def _flow(result: Mapping) -> str:
    return _table(
        [f'flow at {_size(result["size"])}', 'ms'], [[name, _seconds(value)] for name, value in result['rows'].items()]
    )


_WRITERS: dict[str, Callable[[Mapping], str]] = {
    'loader': _loader,
    'step': _step,
    'infer': _infer,
    'mix': _mix,
    'flow': _flow,
}
