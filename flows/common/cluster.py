"""Processes to work in: on this machine, or those of a Dask cluster.

M. Rocklin, "Dask: Parallel Computation with Blocked algorithms and Task Scheduling", SciPy 2015.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any, TypeVar

__all__ = ["dask_client", "map_in_order"]

Part = TypeVar("Part")
Result = TypeVar("Result")

ANSWER_TIMEOUT_S = 20
"""A scheduler that has not answered by then is not there."""


@contextmanager
def dask_client(scheduler: str | None, workers: int) -> Iterator[Any]:
    """A Dask client: of the given scheduler, or of processes on this machine.

    Parameters
    ----------
    scheduler : str or None
        Address of a Dask scheduler; None for this machine.
    workers : int
        Processes on this machine, one thread each.

    Raises
    ------
    OSError
        If the scheduler does not answer within `ANSWER_TIMEOUT_S`.
    """
    import distributed

    if scheduler is not None:
        with distributed.Client(scheduler, timeout=ANSWER_TIMEOUT_S) as client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=40
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def map_in_order(
    work: Callable[[Any, Part], Result],
    constant: Any,
    parts: Iterable[Part],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
) -> Iterator[Result]:
    """Results of parts in their order, worked on side by side; a few parts are in memory at a time.

    Parameters
    ----------
    work : callable
        Function of a module, of `constant` and a part.
    constant : object
        Sent to each worker once.
    parts : iterable
        Read as the workers ask for them. A single part is worked on here: processes would take longer to start.
    scheduler : str, optional
        Address of a Dask scheduler; this machine if left out.
    workers : int, optional
        Processes on this machine, one per core if left out.

    Raises
    ------
    OSError
        If the scheduler does not answer within 20 s.
    """
    source = iter(parts)
    first = list(islice(source, 2))
    workers = workers or os.cpu_count() or 1
    if scheduler is None and (len(first) < 2 or workers < 2):
        yield from (work(constant, part) for part in chain(first, source))
        return
    with dask_client(scheduler, workers) as client:
        everywhere = client.scatter(constant, broadcast=True)
        running: deque[Any] = deque()
        for part in chain(first, source):
            running.append(client.submit(work, everywhere, part, pure=False, retries=0))
            if len(running) > 2 * len(client.nthreads() or (1,)):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
