"""Who scores the parts: this process, a few of them, or a Dask cluster. Each part is scored alike everywhere."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mainline.errors import UserError
from mainline.serve.batch_input import Part
from mainline.serve.batch_part import Done, Job, score_part

AHEAD = 3  # parts a worker that are under way or waiting to be saved: memory does not grow with the input
ANSWER_SECONDS = 10.0  # a scheduler has to answer
AGAIN = "run the same command again: it goes on with what is done"


def in_processes(parts: list[Part], job: Job, workers: int) -> Iterator[Done]:
    """Yield the results in any order, by ``workers`` processes; with 1, by this one.

    Raises:
        UserError: a worker died.
    """
    if workers == 1:
        yield from (score_part(part, job) for part in parts)
        return
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from concurrent.futures.process import BrokenProcessPool

    # Not by fork: Arrow and ONNX Runtime have threads that a fork would cut off.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), end_with_parent)
    rest = iter(parts)
    try:
        running: set[Future[Done]] = set()
        while True:
            running |= {pool.submit(score_part, part, job) for part in islice(rest, workers * AHEAD - len(running))}
            if not running:
                break
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ready)
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process died (killed, or out of memory)", f"{AGAIN}; fewer --workers need less"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def end_with_parent() -> None:
    """End this worker when the process that started it is gone: one killed hard cannot tell its workers.

    They hold each other's queue open, so that none of them would ever read its end.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        parent.join()  # until the pipe that only the parent writes to is closed, whatever closed it
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def on_dask(parts: list[Part], job: Job, address: str) -> Iterator[Done]:
    """Yield the results in any order, by the workers of the scheduler at ``address``.

    The parts of a worker that dies are given to others. Workers must see the input under the same path or URI, and run
    at the top of a clone of the same commit.

    Raises:
        UserError: the scheduler does not answer or has no worker, or the same part killed several workers.
    """
    import distributed
    from distributed import KilledWorker

    # Their signatures are only partly typed.
    client_of: Any = distributed.Client
    as_completed: Any = distributed.as_completed

    try:
        client = client_of(address, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{address}: no Dask scheduler answers ({error})", "start one: `dask scheduler`") from error
    with client, client.as_current():
        workers = len(client.scheduler_info()["workers"])
        if not workers:
            raise UserError(f"{address}: the scheduler has no worker", f"start some: `dask worker {address}`")
        rest = iter(parts)

        def submit(count: int) -> list[Any]:
            # Not pure: nothing is kept on the cluster between runs.
            return [client.submit(score_part, part, job, pure=False, retries=2) for part in islice(rest, count)]

        running = as_completed(submit(workers * AHEAD))
        try:
            for future in running:
                yield future.result()
                future.release()
                running.update(submit(1))
        except KilledWorker as error:
            raise UserError(
                f"{address}: a part killed several workers: {error}", f"{AGAIN}, with more memory"
            ) from error
