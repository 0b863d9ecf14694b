"""Time, peak memory and kernel launches of a function."""

import json
import os
import platform
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch._C import DispatchKey
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.benchmark import Timer

# Operations that are no views and compute nothing either.
_WITHOUT_KERNEL = {
    'empty', 'empty_like', 'empty_strided', 'new_empty', 'new_empty_strided', 'detach', 'lift_fresh', '_unsafe_view',
    'is_same_size', 'promote_types', 'result_type',
}  # fmt: skip


def machine(device: torch.device) -> dict:
    """What belongs beside every measurement."""
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else platform.processor() or 'CPU'
    return {'device': name, 'cores': os.cpu_count(), 'threads': torch.get_num_threads(), 'torch': torch.__version__}


def measure_time(function: Callable[[], object], seconds: float) -> dict:
    """Seconds of a call: median, quartiles and mean of the calls in ``seconds``, after one that does not count.

    On a GPU the clock waits until its work is done.
    """
    function()
    # Timer runs on one thread unless it is told otherwise.
    timer = Timer('function()', globals={'function': function}, num_threads=torch.get_num_threads())
    times = timer.blocked_autorange(min_run_time=seconds).times
    low, median, high = np.percentile(times, (25, 50, 75))
    return {'median': median, 'low': low, 'high': high, 'mean': float(np.mean(times)), 'repeats': len(times)}


def measure_memory(function: Callable[[], object], device: torch.device) -> int:
    """Largest number of bytes that tensors take at once while ``function`` runs.

    On a GPU that is what torch's allocator has given away, tensors from before included. On the CPU it is what is
    allocated inside ``function`` (so let it build what is to count); scratch memory of oneDNN is not included.
    """
    if device.type == 'cuda':
        torch.cuda.reset_peak_memory_stats(device)
        function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        profiler.export_chrome_trace(str(path))
        events = [event for event in json.loads(path.read_text())['traceEvents'] if event.get('name') == '[memory]']
    if not events:
        return 0
    events = [event['args'] for event in sorted(events, key=lambda event: event['ts'])]
    # The profiler's total goes on from what earlier profiles saw allocated, and never saw freed.
    before = events[0]['Total Allocated'] - events[0]['Bytes']
    return max(0, max(event['Total Allocated'] for event in events) - before)


class LaunchCounter(TorchDispatchMode):
    """Counts operations inside a block that launch a kernel on a GPU: those of ATen but for views and allocations.

    Counted are calls, on whatever device: those on values of the host are among them, and an operation on many tensors
    (``_foreach_*``, fused optimizers) counts as one.

    Attributes:
        calls: by name of the operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: tuple, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        composite = DispatchKey.CompositeImplicitAutograd
        if torch._C._dispatch_has_kernel_for_dispatch_key(function.name(), composite):
            # In inference mode such operations come here before they are taken apart.
            with self:
                return function._op_dk(composite, *args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        if not function.is_view and name not in _WITHOUT_KERNEL:
            self.calls[name] += 1
        return function(*args, **(kwargs or {}))


def count_launches(function: Callable[[], object]) -> int:
    """Operations of one call of ``function`` that launch a kernel, backward passes included."""
    with LaunchCounter() as counter:
        function()
    return counter.calls.total()


def device_work(function: Callable[[], object], device: torch.device) -> tuple[int, float | None]:
    """Kernels and copies that one call launches on a GPU, and the seconds that they take.

    On the CPU the operations that would launch one, and None.
    """
    if device.type != 'cuda':
        return count_launches(function), None
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        function()
        torch.cuda.synchronize(device)
    events = [event for event in profiler.events() if event.device_type == DeviceType.CUDA]
    kernels = [event.time_range.elapsed_us() for event in events if not event.is_user_annotation]
    return len(kernels), sum(kernels) / 1e6


def profile_table(function: Callable[[], object], device: torch.device, rows: int = 15) -> str:
    """The operators that take most time, as a table of torch.profiler."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == 'cuda')
    function()
    with profile(activities=activities) as profiler:
        function()
    order = f'self_{device.type}_time_total'
    return profiler.key_averages().table(sort_by=order, row_limit=rows, max_name_column_width=40)
