"""How a process keeps its memory."""
import ctypes

# From malloc.h of the GNU C library, which takes at most 32 MiB for the second.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_MMAP_BYTES = 32 * 2**20
# More than a sample needs on its way through a pipeline.
_KEPT_BYTES = 512 * 2**20


def keep_freed_memory() -> bool:
    """Let this process keep memory that it frees, instead of giving it back and asking for it again.

    A loader worker makes and drops pictures of many megabytes per sample. By default most of them are new pages each
    time, which the kernel must clear: between a hundredth and a tenth of the worker's time, most in virtual machines.

    Returns:
        Whether the C library can do this (the GNU one can); otherwise nothing changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _MMAP_BYTES) and mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
