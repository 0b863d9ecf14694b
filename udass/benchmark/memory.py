"""Peak memory of tensors."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from udass.benchmark.timing import synchronize


def peak_memory(function: Callable[[], object], device: torch.device) -> int:
    """Largest number of bytes that tensors take at once while ``function`` runs.

    On a GPU what torch's allocator has given away, tensors from before included. On the CPU what is allocated inside
    ``function`` (so let it build what is to count), as torch's profiler sees it: scratch memory of oneDNN is not seen.
    """
    if device.type == 'cuda':
        synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        kept = function()
        synchronize(device)
        del kept
        return torch.cuda.max_memory_allocated(device)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiler:
        # The result is freed here, where the profiler sees it.
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'trace.json'
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text())['traceEvents']
    events = sorted((event for event in events if event.get('name') == '[memory]'), key=lambda event: event['ts'])
    if not events:
        return 0
    # The profiler's total goes on from what earlier profiles saw allocated, and never saw freed.
    before = events[0]['args']['Total Allocated'] - events[0]['args']['Bytes']
    return max(0, max(event['args']['Total Allocated'] for event in events) - before)
