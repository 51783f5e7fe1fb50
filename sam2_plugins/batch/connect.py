"""Where tasks run: a cluster that is there, or processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.operating_system import signals_later

if TYPE_CHECKING:
    from distributed import Client


ANSWER_WITHIN = 10
"""Seconds in which a scheduler answers, if there is one."""


@contextmanager
def connect(address: str | None = None, workers: int = 1) -> Iterator[Client | None]:
    """Connect to a Dask cluster, or start one here if more than one worker is wanted.

    Yields
    ------
    Client or None
        None if the work is to be done in this process.

    Raises
    ------
    Sam2PluginsError
        If Dask is not installed, there is no scheduler, or workers do not start.
    """
    if address is None and workers == 1:
        yield None
        return
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise Sam2PluginsError(
            'Several workers need Dask: pip install "sam2-plugins[dask]".'
        ) from error
    # Not as the default client: a generator may leave this context in another thread.
    if address is None:
        try:
            with signals_later():
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    dashboard_address=None,
                    death_timeout=300,  # of a worker whose scheduler was killed
                )
        except RuntimeError as error:
            raise Sam2PluginsError(
                f"The workers did not start: {error} Every one of them imports the script that "
                'starts them, which therefore has to do so below `if __name__ == "__main__":`.'
            ) from error
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    try:
        client = Client(address, timeout=ANSWER_WITHIN, set_as_default=False)
    except (OSError, ValueError) as error:
        raise Sam2PluginsError(
            f"There is no Dask scheduler at {address}: {error}. Start one with `dask scheduler`, "
            "or name none."
        ) from error
    with client:
        yield client
