"""Results go to JSON and back bit for bit, and a file is either written whole or left as it was."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
import threading
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlast.errors import InputError
from outlast.results import (
    KINDS,
    SCHEMA,
    CheckReport,
    Command,
    Comparison,
    Diagnosis,
    Evaluation,
    Plan,
    Refusal,
    Repair,
    Reset,
    Timeline,
    Training,
    Tuning,
    from_json,
    load_result,
    plain,
    save_result,
    to_json,
    write_atomically,
)

RECORDS = {
    "evaluate": Evaluation,
    "repair": Repair,
    "compare": Comparison,
    "check": CheckReport,
    "train": Training,
    "diagnose": Diagnosis,
    "plan": Plan,
    "timeline": Timeline,
    "tune": Tuning,
}
floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(max_size=6)
documents = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), floats, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=3,
)
SIMPLE = {float: floats, int: st.integers(-(2**63), 2**63), str: texts, bool: st.booleans(), Any: documents}


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a field's type, as its annotation reads."""
    if kind in SIMPLE:
        return SIMPLE[kind]
    if dataclasses.is_dataclass(kind):
        return made(typing.cast(type, kind))
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is list:
        return st.lists(values(arguments[0]), max_size=2)
    if origin is dict:
        return st.dictionaries(texts, values(arguments[1]), max_size=2)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    return st.one_of(*(st.none() if each is type(None) else values(each) for each in arguments))


def made(kind: type) -> st.SearchStrategy[Any]:
    """Results of a kind with any numbers and words in them."""
    hints = typing.get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.name != "kind"]
    return st.builds(kind, **{name: values(hints[name]) for name in fields})


def one(kind: str) -> dict[str, Any]:
    """A document of this kind with little in it."""
    simple = {float: 0.1, int: 1, str: "x", bool: True}

    def value(of: Any) -> Any:
        if of in simple:
            return simple[of]
        if dataclasses.is_dataclass(of):
            hints = typing.get_type_hints(of)
            return {f.name: value(hints[f.name]) for f in dataclasses.fields(of) if f.name != "kind"}
        origin, arguments = typing.get_origin(of), typing.get_args(of)
        if origin is tuple:
            return [value(each) for each in arguments]
        return {list: [], dict: {}}.get(typing.cast(Any, origin))

    return {**value(KINDS[kind]), "kind": kind}


def test_every_kind_is_tested():
    assert RECORDS == KINDS
    assert all(from_json(json.dumps(one(kind))).kind == kind for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_json_and_back_is_the_same_bit_for_bit(kind, data):
    """Every number as it was, −0.0 and the smallest included; the text of the result that came back is the same."""
    result = data.draw(made(KINDS[kind]))
    text = to_json(result)
    again = from_json(text)
    assert type(again) is KINDS[kind]
    assert again == result
    assert to_json(again) == text


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_both_ways(number):
    """JSON knows neither NaN nor infinity; other programs could not read them."""
    result = from_json(json.dumps(one("evaluate")))
    assert isinstance(result, Evaluation)
    reset = Reset(1, number, 0.0, 0.0, [])
    with pytest.raises(InputError, match="JSON"):
        to_json(dataclasses.replace(result, resets={"periodic_reset": reset}))
    with pytest.raises(InputError, match="not a number"):
        from_json(json.dumps({**one("evaluate"), "seconds": number}))
    with pytest.raises(OverflowError, match="not finite"):
        plain(number)


def test_files_of_the_first_schema_are_read():
    """They have no schema number, and call resets controls; a comparison holds evaluations deep inside."""
    result = from_json(json.dumps(one("compare")))
    assert isinstance(result, Comparison)
    command = Command(verb="quickstart", model="runs/base", out="runs")
    reset = Reset(64, 1.5, 1.25, 1.75, [1.5, 1.5])
    result = dataclasses.replace(
        result, base=dataclasses.replace(result.base, resets={"periodic_reset": reset}, settings={}, command=command)
    )
    text = to_json(result)
    assert json.loads(text)["schema"] == SCHEMA
    record = json.loads(text)
    del record["schema"]
    record["base"]["controls"] = record["base"].pop("resets")
    record["base"]["settings"] = {"command": record["base"].pop("command")}
    assert from_json(json.dumps(record)) == result


def test_files_of_the_second_schema_are_read():
    """They call a model's blueprint a recipe."""
    result = from_json(json.dumps(one("evaluate")))
    assert isinstance(result, Evaluation)
    result = dataclasses.replace(result, model={"name": "base", "blueprint": {"family": "gla"}})
    record = json.loads(to_json(result)) | {"schema": 2, "model": {"name": "base", "recipe": {"family": "gla"}}}
    assert from_json(json.dumps(record)) == result
    whole = from_json(json.dumps(one("compare")))
    assert isinstance(whole, Comparison)
    whole = dataclasses.replace(whole, base=result)
    outer = json.loads(to_json(whole)) | {"schema": 2, "base": record}
    assert from_json(json.dumps(outer)) == whole


def test_files_of_the_third_schema_are_read():
    """They call remedy_suffices reset_it_instead, and name a period."""
    result = from_json(json.dumps(one("repair")))
    assert isinstance(result, Repair)
    because = Refusal("no_benefit", ["far"], ["remedy_suffices"]), Refusal("remedy_suffices", ["x"], remedy="reset:640")
    for refused in because:
        result = dataclasses.replace(result, accepted=False, refused_because=refused)
        record = json.loads(to_json(result)) | {"schema": 3}
        old = record["refused_because"]
        old["name"] = old["name"].replace("remedy_suffices", "reset_it_instead")
        old["also"] = [each.replace("remedy_suffices", "reset_it_instead") for each in old["also"]]
        del old["remedy"]
        old["every"] = 640 if refused.remedy else None
        assert from_json(json.dumps(record)) == result


@pytest.mark.parametrize("schema", [SCHEMA + 1, 0, -1, "2", None, [], 1.5])
def test_files_of_another_schema_are_one_clear_error(schema):
    with pytest.raises(InputError, match="schema"):
        from_json(json.dumps({**one("check"), "schema": schema}))


def test_a_setting_that_is_no_number_does_not_cost_the_result():
    """An infinite clip, a figure of odd data: null in the file, where a number that was measured is a fault."""
    odd = {"clip": math.inf, "deep": [{"scale": (math.nan, 2.0)}]}
    trained = from_json(json.dumps(one("train")))
    assert isinstance(trained, Training)
    result = dataclasses.replace(trained, settings=odd, data=odd)
    again = from_json(to_json(result))
    assert isinstance(again, Training)
    assert again.settings == again.data == {"clip": None, "deep": [{"scale": [None, 2.0]}]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_without_a_field_is_one_clear_error(kind):
    """It names what is missing, whichever field it is; fields with a default may be missing."""
    whole = one(kind)
    for field in dataclasses.fields(RECORDS[kind]):
        cut = {key: value for key, value in whole.items() if key != field.name}
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required:
            with pytest.raises(InputError, match=field.name) as caught:
                from_json(json.dumps(cut))
            assert "given:" in str(caught.value)
            assert caught.value.__suppress_context__
        elif field.name != "kind":
            assert from_json(json.dumps(cut)).kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        "3",
        "null",
        '{"kind": "something"}',
        '{"kind": ["evaluate"]}',
        "{}",
        json.dumps({**one("evaluate"), "age_curve": 3}),
        json.dumps({**one("evaluate"), "age_curve": [{"age": [1]}]}),
        json.dumps({**one("evaluate"), "seconds": "long"}),
        json.dumps({**one("repair"), "before": None}),
        json.dumps({**one("check"), "outlast": "\ud800"}),
        json.dumps({**one("check"), "model": {"a": 1}}).replace("1}", 90 * "[" + 90 * "]" + "}"),
        json.dumps({**one("train"), "seconds": 0.5}).replace("0.5", "1e999"),
        json.dumps({**one("train"), "losses": [[1, 2.0, 3.0]]}),
    ],
)
def test_a_document_that_is_no_result_is_one_clear_error(text):
    """Whatever it is instead: one message of three lines, and no traceback of the library that reads it."""
    with pytest.raises(InputError) as caught:
        from_json(text)
    assert str(caught.value).count("\n") == 2


def test_fields_of_later_versions_are_passed_over():
    """An older program reads what it knows of a newer result."""
    later = {**one("check"), "new": {"a": 1}}
    assert isinstance(from_json(json.dumps(later)), CheckReport)


def test_a_file_or_its_folder_is_read_and_what_cannot_be_is_named(tmp_path):
    """`result.json` of a folder; no file, another file and a folder without one each say which."""
    result = from_json(json.dumps({**one("train"), "data": {"unit": "世帯", "share": 0.1 + 0.2}}))
    save_result(result, tmp_path / "new" / "result.json")
    assert load_result(tmp_path / "new") == load_result(tmp_path / "new" / "result.json") == result
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "half.json").write_text(to_json(result)[:-20])
    (tmp_path / "folder" / "result.json").mkdir(parents=True)
    for path in ("missing.json", "bytes.json", "half.json", "folder"):
        with pytest.raises(InputError, match=path):
            load_result(tmp_path / path)


def test_nothing_else_is_left_in_the_folder(tmp_path):
    """Neither after success nor when writing is broken off."""
    path = tmp_path / "a" / "b" / "file"
    write_atomically(path, "one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    with pytest.raises(InputError):
        write_atomically(path, "\ud800")
    assert [each.name for each in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"two"


def test_threads_that_write_the_same_file_do_not_mix(tmp_path):
    """The last one wins; every reader sees one of them whole."""
    path, size = tmp_path / "file", 200_000
    write_atomically(path, "0" * size)
    seen = set()
    threads = [threading.Thread(target=write_atomically, args=(path, str(n) * size)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        text = path.read_text()
        seen.add((len(text), len(set(text))))
    assert seen <= {(size, 1)}
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_to_is_one_clear_error(tmp_path):
    """A file where a folder should be."""
    (tmp_path / "file").write_text("old")
    with pytest.raises(InputError, match="could not be written"):
        write_atomically(tmp_path / "file" / "result.json", "new")
    assert (tmp_path / "file").read_text() == "old"


FULL = """
import resource, signal, sys
from outlast.errors import InputError
from outlast.results import write_atomically
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
write_atomically(sys.argv[1], "fits")
try:
    write_atomically(sys.argv[1], "x" * 20000)
except InputError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path):
    """And says so in one message; the half that was written is gone."""
    path = tmp_path / "result.json"
    path.write_text("old")
    run = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert "could not be written" in run.stdout
    assert path.read_text() == "fits"
    assert list(tmp_path.iterdir()) == [path]
