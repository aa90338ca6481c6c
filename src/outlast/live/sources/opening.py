"""The one place that tells from its name what a live source is."""

from __future__ import annotations

from pathlib import Path

from outlast.errors import InputError
from outlast.live.sources import lines
from outlast.live.sources.files import Files
from outlast.live.sources.mqtt import Mqtt, address_of
from outlast.live.sources.pieces import Source


def opened(source: str, *, once: bool = False, name: str = "outlast") -> Source:
    """Open what rows come from.

    Args:
        source: ``-`` for standard input, ``mqtt://host:port/topic/filter``, or a path: of a file, or a folder in which
            files arrive.
        once: read what is there, and end; else what comes is waited for.
        name: of this reader, by which an MQTT broker keeps what it has not read.

    Raises:
        InputError: there is no such thing, or it cannot be read.
    """
    if source == lines.NAME:
        return lines.Standard()
    if source.startswith(("mqtt://", "mqtts://")):
        if once:
            raise InputError("messages that are to be read once", "a file, a folder or -", "leave out that it ends")
        return Mqtt(address_of(source), name=name)
    return Files(Path(source), once=once)
