"""Work side by side: in threads of one torch thread each, which on two cores are faster than one job with two threads,
and on the ranks that torchrun or Accelerate started.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, TypeVar

import torch

from outlast.errors import OutlastError
from outlast.ranks import rank, ranks

Outcome = TypeVar("Outcome")

_worker = threading.local()


def side_by_side(
    workers: int, jobs: Sequence[Callable[[], Outcome]], stop: threading.Event | None = None
) -> list[Outcome]:
    """What each job returns, in order; `workers` of them at a time. Ctrl-C, or an error in one, stops them all."""
    if workers <= 1:
        return [job() for job in jobs]
    threads, drawn = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    with ThreadPoolExecutor(workers, initializer=_begin) as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            for future in as_completed(futures):
                future.result()
            return [future.result() for future in futures]
        except BaseException:
            if stop:
                stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            torch.set_num_threads(threads)
            # Trainings that overlap put the global generator back in no particular order.
            torch.set_rng_state(drawn)


def _begin() -> None:
    # In a new thread torch starts from its own default number of threads, not from what the main thread was told.
    torch.set_num_threads(1)
    _worker.things = {}


def things_of_worker() -> dict[int, Any] | None:
    """What this worker of `side_by_side` keeps for itself until all jobs are done; None: this thread is no worker."""
    return getattr(_worker, "things", None)


def wait_for_all_ranks() -> None:
    """Go on when all ranks are here: what one of them was still writing is then written."""
    if ranks() > 1:
        torch.distributed.barrier()


def on_first_rank(work: Callable[[], Outcome]) -> Outcome:
    """What `work` returns on the first rank, for all of them; the others wait. All have to call this together.

    Raises:
        OutlastError: on the others, what was wrong on the first.
    """
    if ranks() == 1:
        return work()
    told: list[Any] = [None, None]  # what is returned, and what was wrong
    failed: BaseException | None = None
    if rank() == 0:
        try:
            told[0] = work()
        except BaseException as error:
            failed, told[1] = error, str(error) or type(error).__name__
    torch.distributed.broadcast_object_list(told, src=0)
    if failed is not None:
        raise failed
    if told[1] is not None:
        raise OutlastError(f"the first rank stopped: {told[1]}")
    return told[0]
