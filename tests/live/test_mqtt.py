"""Messages of a real broker: none is lost that was not committed, whoever is stopped meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from outlast.errors import InputError
from outlast.live.sources import Piece, Source, opened
from outlast.live.sources.mqtt import Mqtt, address_of

_SECONDS = 20.0
"""After which what has not come will not come."""


class Broker:
    """A mosquitto that keeps its sessions in a folder."""

    def __init__(self, folder: Path, *settings: str) -> None:
        found = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
        assert found, "the tests need an MQTT broker: install the package mosquitto (make broker)"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._config = folder / "mosquitto.conf"
        self._command = [found, "-c", str(self._config)]
        lines = [f"listener {self.port} 127.0.0.1", "persistence true", f"persistence_location {folder}/"]
        if os.getuid() == 0:
            lines.append("user root")  # else it may not write there
        self._config.write_text("\n".join([*lines, *(settings or ["allow_anonymous true"]), ""]))
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + _SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, f"mosquitto ended with {self._process.returncode}"
                assert time.monotonic() < until, "mosquitto does not answer"
                time.sleep(0.05)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(_SECONDS)

    def url(self, topics: str) -> str:
        return f"mqtt://127.0.0.1:{self.port}/{topics}"

    def publish(self, topic: str, *payloads: Any, retain: bool = False, qos: int = 1) -> None:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", self.port)
        client.loop_start()
        for each in payloads:
            payload = each if isinstance(each, bytes) else json.dumps(each).encode()
            client.publish(topic, payload, qos=qos, retain=retain).wait_for_publish(_SECONDS)
        client.disconnect()
        client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    found = Broker(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def open_source() -> Iterator[Callable[..., Source]]:
    """Sources that are closed at the end of the test."""
    made: list[Source] = []

    def make(url: str, **more: Any) -> Source:
        made.append(Mqtt(address_of(url), **{"name": "test", **more}))
        return made[-1]

    yield make
    for each in made:
        each.close()


def await_rows(source: Source, count: int, most: int = 1000) -> list[Piece]:
    """Pieces until there are so many rows, read or refused."""
    found: list[Piece] = []
    until = time.monotonic() + _SECONDS
    while sum(len(each.rows) + len(each.refused) for each in found) < count:
        assert time.monotonic() < until, f"only {found} came"
        found += source.take({}, most)
        time.sleep(0.01)
    return found


def quiet(source: Source, seconds: float = 0.5) -> bool:
    """Whether nothing comes for a while."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if source.take({}, 1000):
            return False
        time.sleep(0.01)
    return True


def values(pieces: list[Piece]) -> list[Any]:
    return [row["x"] for each in pieces for row in each.rows]


def test_messages_are_rows_with_their_topic(broker, open_source):
    source = open_source(broker.url("plant/+/power"))
    broker.publish("plant/7/power", {"x": 1}, [{"x": 2}, {"x": 3, "topic": "mine"}], b"what", [], [{"x": 4}, 5])
    broker.publish("plant/7/heat", {"x": 9})
    broker.publish("plant/8/power", b'{"x": "' + b"y" * (1 << 20) + b'"}')
    pieces = await_rows(source, 7)
    assert values(pieces) == [1, 2, 3, 4]
    assert [row["topic"] for each in pieces for row in each.rows] == ["plant/7/power"] * 2 + ["mine", "plant/7/power"]
    assert [n for each in pieces for n in each.numbers] == [1, 2, 2, 5]
    refused = [each for piece in pieces for each in piece.refused]
    assert [each.number for each in refused] == [3, 5, 6]
    assert refused[0].text == "what"
    assert "no JSON" in refused[0].because
    assert refused[1].because == "it is JSON of type int, not an object"
    assert refused[2].because == "it is longer than 1 MiB"
    assert {each.source for each in pieces} == {"plant/+/power"}
    assert pieces[-1].offset == {"messages": 6}
    assert not source.ended


def test_what_arrives_while_nobody_is_there_waits_at_the_broker(broker, open_source):
    source = open_source(broker.url("a"))
    source.close()
    broker.publish("a", {"x": 1}, {"x": 2})
    source = open_source(broker.url("a"))
    pieces = await_rows(source, 2)
    assert values(pieces) == [1, 2]
    source.committed(pieces)
    source.close()
    again = open_source(broker.url("a"))
    assert quiet(again)
    assert quiet(open_source(broker.url("a"), name="another"))


def test_a_client_that_is_killed_before_it_commits_gets_the_messages_again(broker, open_source):
    broker_url = broker.url("a")
    open_source(broker_url).close()
    broker.publish("a", *({"x": i} for i in range(6)))
    code = f"""
import os, signal, time
from outlast.live.sources.mqtt import Mqtt, address_of
source, found = Mqtt(address_of({broker_url!r}), name="test"), []
while len(found) < 6:
    found += source.take({{}}, 1)
    time.sleep(0.01)
source.committed(found[:2])
time.sleep(1)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    source = open_source(broker_url)
    pieces = await_rows(source, 4)
    assert values(pieces) == [2, 3, 4, 5]  # taken for the second time
    source.committed(pieces)
    source.close()
    assert quiet(open_source(broker_url))


def test_a_broker_that_is_restarted_loses_nothing(broker, open_source):
    source = open_source(broker.url("a"))
    broker.publish("a", *({"x": i} for i in range(4)))
    taken = await_rows(source, 2, most=2)
    broker.stop()
    time.sleep(0.5)  # until it is noticed
    source.committed(taken[:1])  # which nobody hears
    broker.start()
    broker.publish("a", *({"x": i} for i in range(4, 8)))
    later = await_rows(source, 6)
    assert values(taken) == [0, 1]
    # In the same process, a message that comes again is known again.
    assert values(later) == [2, 3, 4, 5, 6, 7]
    source.committed(taken + later)
    assert quiet(source)
    source.close()
    assert quiet(open_source(broker.url("a")))


def test_a_broker_that_forgot_the_session_loses_nothing_that_came(tmp_path, open_source):
    broker = Broker(tmp_path, "allow_anonymous true", "persistence false")
    try:
        source = open_source(broker.url("a"))
        broker.publish("a", {"x": 0}, {"x": 1}, {"x": 2})
        taken = await_rows(source, 1, most=1)
        broker.stop()
        broker.start()
        time.sleep(3)  # until it is connected and subscribed again
        broker.publish("a", {"x": 3}, {"x": 4})
        later = await_rows(source, 4, most=1)
        assert values(taken + later) == [0, 1, 2, 3, 4]
        source.committed(taken + later[:2])  # of the old session: they acknowledge nothing of the new one
        source.close()
        again = await_rows(open_source(broker.url("a")), 2)
        assert values(again) == [3, 4]
    finally:
        broker.stop()


@pytest.mark.parametrize("qos", [0, 1])
def test_no_more_are_held_than_may_be_unacknowledged(broker, open_source, qos):
    source = open_source(broker.url("a"), most=5)
    broker.publish("a", *({"x": i} for i in range(50)), qos=qos)
    time.sleep(0.5)
    assert len(source._held.waiting) == 5  # no method tells it
    found: list[Piece] = []
    while len(found) < 50:
        pieces = await_rows(source, 5, most=1)
        assert qos == 0 or quiet(source, 0.05)
        source.committed(pieces)
        found += pieces
    assert values(found) == list(range(50))


def test_a_message_with_many_rows_is_given_in_parts_and_acknowledged_with_the_last(broker, open_source):
    source = open_source(broker.url("a"))
    broker.publish("a", [{"x": i} for i in range(5)], {"x": 5})
    first = await_rows(source, 2, most=2)
    assert values(first) == [0, 1]
    source.committed(first)
    source.close()
    source = open_source(broker.url("a"))
    parts = await_rows(source, 5, most=2)
    assert [len(each.rows) for each in parts] == [2, 2, 2]
    assert values(parts) == [0, 1, 2, 3, 4, 5]
    source.committed(parts)
    source.close()
    assert quiet(open_source(broker.url("a")))


def test_what_a_broker_keeps_for_a_topic_comes_once(broker, open_source):
    broker.publish("a", {"x": 1}, retain=True)
    source = open_source(broker.url("a"))
    source.committed(await_rows(source, 1))
    source.close()
    assert quiet(open_source(broker.url("a")))


def test_of_two_with_the_same_name_the_first_is_told(broker, open_source):
    first, _ = open_source(broker.url("a")), open_source(broker.url("a"))
    with pytest.raises(InputError, match="a name of its own"):
        await_rows(first, 1)


def test_a_broker_that_is_not_there_or_refuses_is_named(tmp_path, monkeypatch, open_source):
    passwords = tmp_path / "passwords"
    passwords.write_text("me:secret\n")
    passwords.chmod(0o700)
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    broker = Broker(tmp_path, f"password_file {passwords}", "allow_anonymous false")
    try:
        monkeypatch.delenv("OUTLAST_MQTT_USER", raising=False)
        with pytest.raises(InputError, match=f"(?s)127.0.0.1:{broker.port}.*OUTLAST_MQTT_USER") as error:
            opened(broker.url("a"))
        assert "uthorized" in error.value.given
        monkeypatch.setenv("OUTLAST_MQTT_USER", "me")
        monkeypatch.setenv("OUTLAST_MQTT_PASSWORD", "wrong")
        with pytest.raises(InputError, match="uthorized") as error:
            opened(broker.url("a"))
        assert "wrong" not in str(error.value)
        monkeypatch.setenv("OUTLAST_MQTT_PASSWORD", "secret")
        assert quiet(open_source(broker.url("a")), 0.1)
    finally:
        broker.stop()
    with pytest.raises(InputError, match=f"127.0.0.1:{broker.port}"):
        opened(broker.url("a"))
    with pytest.raises(InputError, match="read once"):
        opened(broker.url("a"), once=True)


def test_a_connection_may_be_encrypted(tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    broker = Broker(tmp_path, "allow_anonymous true", f"certfile {certificate}", f"keyfile {key}")
    try:
        url = broker.url("a").replace("mqtt:", "mqtts:")
        with pytest.raises(InputError, match="certificate"):  # nobody vouches for it
            opened(url)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        source = opened(url)
        assert quiet(source, 0.1)
        source.close()
    finally:
        broker.stop()


def test_without_the_package_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(InputError, match=r"outlast\[live\]"):
        opened("mqtt://localhost/a")
