"""Messages of an MQTT broker, acknowledged when what came of them was written down.

The session outlives the connection (MQTT 5, clean start off, no expiry): what arrives while nobody is there waits at
the broker, and what was not acknowledged comes again. Messages may therefore come twice, and none is lost that its
publisher sent with a quality of service of 1 or 2.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import ssl
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlast.errors import InputError
from outlast.live.sources.lines import LONGEST
from outlast.live.sources.pieces import Offset, Piece, Taking, Unreadable, at_latest, decoded, parsed, row_of
from outlast.schema import Schema

USER, PASSWORD = "OUTLAST_MQTT_USER", "OUTLAST_MQTT_PASSWORD"
UNACKNOWLEDGED = 1000
"""Messages that a broker sends ahead of their acknowledgements, at most."""
_URL = re.compile(r"(?P<scheme>mqtts?)://(?P<host>\[[^\]/]+\]|[^:/@\[\]]+)(:(?P<port>\d+))?/(?P<topics>.+)")
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_PATIENCE = 10.0
"""Seconds for the first answer of a broker."""
_BACKOFF = (1, 60)
"""Seconds between attempts to connect again, the first and the longest; doubled in between."""
_FOREVER = 2**32 - 1
_TAKEN_OVER = 0x8E
_NOT_AGAIN = 1
"""What the broker kept for a topic comes with a new subscription, and not with every connection."""


@dataclass(frozen=True)
class Address:
    """Where to connect, and to which topics.

    Args:
        topics: a topic filter, such as ``plant/+/power``.
    """

    host: str
    port: int
    topics: str
    encrypted: bool

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass
class _Message:
    """A message that is not acknowledged.

    Args:
        id: by which it is acknowledged; 0: it needs none.
        connection: on which it came last, as `_Held` counts.
        number: among all messages, from 1; 0: nobody took it yet.
        rows: that were not taken yet; None: it was not looked at.
    """

    id: int
    topic: str
    payload: bytes
    connection: int
    number: int = 0
    committed: bool = False
    rows: deque[Any] | None = None


@dataclass
class _Held:
    """What the thread of the connection and the one that takes share, under one lock.

    Args:
        connection: counts beginnings and ends of connections; the same number is the same connection.
        waiting: messages that were not taken, or not whole.
        open: all that are not acknowledged, by their id.
        taken: those that were taken and not committed, in their order.
        failed: why nothing will come any more.
    """

    connection: int = 0
    waiting: deque[_Message] = field(default_factory=deque)
    open: dict[int, _Message] = field(default_factory=dict)
    taken: deque[_Message] = field(default_factory=deque)
    failed: InputError | None = None


def address_of(url: str) -> Address:
    """What a URL ``mqtt://host:port/topic/filter`` says; ``mqtts://`` encrypts.

    Raises:
        InputError: it says something else, or a password.
    """
    found = _URL.fullmatch(url)
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise InputError(
            "an MQTT address with a user in it",
            "mqtt://host:port/topic/filter",
            f"give user and password in the environment: {USER}, {PASSWORD}",
        )
    if found is None or not _is_filter(found["topics"]) or int(found["port"] or 1) not in range(1, 1 << 16):
        raise InputError(
            url,
            "mqtt://host:port/topic/filter, or mqtts:// to encrypt",
            "name a broker and topics, such as mqtt://localhost:1883/plant/+/power; + and # stand alone between /",
        )
    port = int(found["port"] or _PORTS[found["scheme"]])
    return Address(found["host"].strip("[]"), port, found["topics"], found["scheme"] == "mqtts")


class Mqtt:
    """Rows of the messages of some topics: one JSON object a message, or a list of them.

    The topic is put into every row under ``topic``, unless the row has such a field.

    Args:
        name: of this reader. The broker keeps what a reader has not acknowledged by its name and topics; of two that
            run at the same time with the same, one is sent away.
        most: messages that may be unacknowledged.

    Raises:
        InputError: there is no broker, it refuses, or the extra `live` is not installed.
    """

    def __init__(self, address: Address, *, name: str, most: int = UNACKNOWLEDGED) -> None:
        self.ended: bool = False
        self.address = address
        self._most = most
        self._held = _Held()
        self._changed = threading.Condition()
        self._answered = False
        self._closing = False
        self._number = 0
        self._before = -1
        self._client = self._connected(name)

    def take(self, offsets: Mapping[str, Offset], most: int) -> list[Piece]:
        """As `Source.take`. A message with more rows than are asked for is given in parts.

        The offset counts messages from where that of earlier runs ended; what is to come, the broker knows.

        Raises:
            InputError: another reader of the same name and topics took the place of this one.
        """
        if self._before < 0:
            self._before = offsets.get(self.address.topics, {}).get("messages", 0)
        taking, begun = Taking(most, at_latest()), False
        while taking.count < most and (message := self._first()) is not None:
            begun = True
            self._take_rows(message, taking)
            if taking.full:
                break
        return [taking.piece(self.address.topics, {"messages": self._before + self._number})] if begun else []

    def read_as(self, schema: Schema) -> None:
        """Nothing is to be done: JSON says itself what a number is."""

    def committed(self, pieces: Sequence[Piece]) -> None:
        """Acknowledge the messages of these pieces; of those whose last part is among them."""
        own = [each.offset["messages"] for each in pieces if each.source == self.address.topics]
        until = max(own, default=0) - self._before
        with self._changed:
            taken = self._held.taken
            while taken and taken[0].number <= until:
                message = taken.popleft()
                message.committed = True
                self._acknowledge(message)

    def close(self) -> None:
        """Leave the broker; it keeps what was not acknowledged."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, name: str) -> Any:
        mqtt = _paho()
        of = hashlib.blake2b(f"{name}\0{self.address.topics}".encode(), digest_size=7).hexdigest()
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, f"outlast{of}", protocol=mqtt.MQTTv5, manual_ack=True
        )  # an id of at most 23 letters and digits is one that every broker takes
        client.reconnect_delay_set(*_BACKOFF)
        if os.environ.get(USER):
            client.username_pw_set(os.environ[USER], os.environ.get(PASSWORD))
        if self.address.encrypted:
            client.tls_set_context(ssl.create_default_context())
        client.on_connect, client.on_subscribe = self._on_connect, self._on_subscribe
        client.on_message, client.on_disconnect = self._on_message, self._on_disconnect
        wanted = mqtt.Properties(mqtt.PacketTypes.CONNECT)
        wanted.SessionExpiryInterval, wanted.ReceiveMaximum = _FOREVER, self._most
        try:
            client.connect(self.address.host, self.address.port, clean_start=False, properties=wanted)
        except (OSError, ValueError) as error:
            raise self._refused(str(error)) from None
        client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._answered or self._held.failed is not None, _PATIENCE)
            failed = self._held.failed
            if failed is None and not self._answered:
                failed = self._refused("it does not answer")
            self._closing = failed is not None
        if failed is not None:
            client.disconnect()
            client.loop_stop()
            raise failed
        return client

    def _on_connect(self, client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        with self._changed:
            if reason.is_failure:
                if not self._answered:  # later, it is tried again
                    self._fail(self._refused(str(reason)))
                return
            self._held.connection += 1
            if not flags.session_present:  # nothing comes again, and its ids are those of other messages
                self._held.open.clear()
        mqtt = _paho()
        client.subscribe(self.address.topics, options=mqtt.SubscribeOptions(qos=1, retainHandling=_NOT_AGAIN))

    def _on_subscribe(self, _client: Any, _data: Any, _id: int, reasons: Any, _properties: Any) -> None:
        with self._changed:
            if reasons[0].is_failure:
                self._fail(self._refused(f"no subscription to {self.address.topics}: {reasons[0]}"))
            self._answered = True
            self._changed.notify_all()

    def _on_disconnect(self, client: Any, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        with self._changed:
            self._held.connection += 1  # what is committed from now on is acknowledged when it comes again
            if reason.value != _TAKEN_OVER:
                return
            self._fail(
                InputError(
                    f"two readers of {self.address.topics} at {self.address} with the same name",
                    "one reader of a name",
                    "stop one of them, or give each a name of its own",
                )
            )
        client.disconnect()

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        """Runs in the thread of the connection, which waits here while too many messages are held."""
        topic = message.topic
        payload = message.payload[: LONGEST + 1]
        with self._changed:
            held = self._held
            known = held.open.get(message.mid) if message.qos else None
            if known is not None and (known.topic, known.payload) == (topic, payload):
                known.connection = held.connection  # it comes again, and can be acknowledged again
                self._acknowledge(known)
                return
            self._changed.wait_for(lambda: len(held.waiting) < self._most or self._closing)
            if self._closing:
                return
            one = _Message(message.mid if message.qos else 0, topic, payload, held.connection)
            held.waiting.append(one)
            if one.id:
                held.open[one.id] = one

    def _fail(self, error: InputError) -> None:
        self._held.failed = error
        self._changed.notify_all()

    def _acknowledge(self, message: _Message) -> None:
        """Acknowledge a committed message on the connection on which it came; on another, it first comes again."""
        if not message.committed or self._held.open.get(message.id) is not message:
            return
        if message.connection == self._held.connection:
            del self._held.open[message.id]
            self._client.ack(message.id, 1)

    def _first(self) -> _Message | None:
        with self._changed:
            if self._held.failed is not None:
                raise self._held.failed
            return self._held.waiting[0] if self._held.waiting else None

    def _take_rows(self, message: _Message, taking: Taking) -> None:
        number = self._number + 1
        if message.rows is None:
            message.rows = _rows_of(message)
        while message.rows and taking.count < taking.most:
            row = message.rows.popleft()
            if isinstance(row, Unreadable):
                taking.refuse(number, message.payload, str(row))
            else:
                taking.keep(number, row)
        if message.rows:
            return
        self._number = message.number = number
        with self._changed:
            self._held.taken.append(self._held.waiting.popleft())
            self._changed.notify_all()

    def _refused(self, because: str) -> InputError:
        return InputError(
            f"{self.address}, which cannot be read ({because})",
            "an MQTT 5 broker that answers, and lets this reader subscribe",
            f"check host and port, and {USER} and {PASSWORD} in the environment",
        )


def _rows_of(message: _Message) -> deque[dict[str, Any] | Unreadable]:
    """Rows of a message, with what is unreadable in its place."""
    try:
        if len(message.payload) > LONGEST:
            raise Unreadable(f"it is longer than {LONGEST >> 20} MiB")
        found = parsed(decoded(message.payload))
    except Unreadable as error:
        return deque([error])
    rows: deque[dict[str, Any] | Unreadable] = deque()
    for each in found if isinstance(found, list) else [found]:
        try:
            rows.append({"topic": message.topic, **row_of(each)})
        except Unreadable as error:
            rows.append(error)
    return rows


def _is_filter(topics: str) -> bool:
    levels = topics.split("/")
    with contextlib.suppress(UnicodeEncodeError):
        return len(topics.encode()) < 1 << 16 and all(
            (level in ("+", "#") or not set(level) & {"+", "#", "\0"}) and (level != "#" or place == len(levels) - 1)
            for place, level in enumerate(levels)
        )
    return False


def _paho() -> Any:
    try:
        import paho.mqtt.client
    except ImportError:
        raise InputError(
            "MQTT without the extra `live`", "the package paho-mqtt", "pip install 'outlast[live]'"
        ) from None
    return paho.mqtt.client
