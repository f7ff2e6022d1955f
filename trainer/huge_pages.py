"""Huge pages for training, which gets and frees hundreds of megabytes in each step."""

import os
import sys

_TUNABLES = "GLIBC_TUNABLES"


def use_huge_pages() -> None:
    """Starts the running command again with huge pages for large tensors, unless glibc is tuned already.

    The kernel clears memory page by page when it is used, so fewer and larger pages cost less. glibc reads its tunables
    at the start of a process only. Returns where there is nothing to do.
    """
    if sys.platform != "linux" or _TUNABLES in os.environ:
        return
    os.environ[_TUNABLES] = "glibc.malloc.hugetlb=1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the command that runs already
