"""SIGTERM, by which systems and schedulers end what runs, stops a verb as Ctrl-C does: what is done is kept."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def sigterm_as_ctrl_c() -> Iterator[threading.Event]:
    """While it holds, SIGTERM does what Ctrl-C does at that moment, and sets the event.

    Nothing changes where the caller already handles SIGTERM its own way, nor outside of the main thread.
    """
    terminated = threading.Event()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield terminated
        return

    def handle(number: int, frame: Any) -> None:
        terminated.set()
        ctrl_c = signal.getsignal(signal.SIGINT)
        # Ctrl-C may be ignored, as in the background of a shell; the other signal is not.
        (ctrl_c if callable(ctrl_c) else signal.default_int_handler)(signal.SIGINT, frame)

    signal.signal(signal.SIGTERM, handle)
    try:
        yield terminated
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
