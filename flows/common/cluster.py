"""Processes to work in: on this machine, or those of a Dask cluster.

M. Rocklin, "Dask: Parallel Computation with Blocked algorithms and Task Scheduling", SciPy 2015.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["dask_client"]


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
        If the scheduler does not answer within 20 s.
    """
    import distributed

    if scheduler is not None:
        with distributed.Client(scheduler, timeout="20s") as client:
            yield client
        return
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=40
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
