"""How a process keeps its memory."""

import ctypes

# From malloc.h of the GNU C library.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_LARGEST = 2**31 - 1


def disable_malloc_trim() -> bool:
    """Let this process keep memory that it frees, instead of giving it back and asking for it again.

    A loader worker makes and drops pictures of many megabytes per sample, a network on the CPU activations. By default
    each of them is new pages, which the kernel must clear: of a training step at crops of 512 that was a sixth. The
    process then holds what it needed at its peak, and more where sizes vary much. It cannot be taken back.

    Returns:
        Whether the C library can do this (the GNU one can); under another allocator it does nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))
