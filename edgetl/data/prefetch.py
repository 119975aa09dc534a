"""Work done by threads a little ahead of its reader."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def pool_of(threads: int) -> AbstractContextManager[Executor | None]:
    """Return a pool of `threads`; of 0 none, and the reader works itself."""
    return ThreadPoolExecutor(threads) if threads else nullcontext()


def prefetched(
    make: Callable[[Given], Made], given: Iterable[Given], pool: Executor | None, *, depth: int
) -> Iterator[Made]:
    """Yield what `make` returns for each of `given`, in order.

    Args:
        make: Safe to be called from several threads.
        given: Its arguments.
        pool: What runs it; None calls it when its result is asked for.
        depth: How many results are made, or being made, before they are asked for.
    """
    if pool is None:
        yield from map(make, given)
        return
    waiting: deque[Future[Made]] = deque()
    for one in given:
        waiting.append(pool.submit(make, one))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
