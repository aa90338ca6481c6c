"""What a user's function reads while it builds a model goes along with the model."""

from __future__ import annotations

import contextlib
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from outlast.checkpoints import load, model_fingerprint, read_record, save
from outlast.errors import InputError
from outlast.modules import from_factory

READERS = {
    "torch.load, beside the module": "from pathlib import Path\nmodel = make()\n"
    "model.load_state_dict(torch.load(Path(__file__).with_name('weights.pt'), weights_only=True))",
    "torch.load, from the current directory": "model = make()\n"
    "model.load_state_dict(torch.load('deep/weights.pt', weights_only=True))",
    "safetensors": "from safetensors.torch import load_file\nfrom pathlib import Path\nmodel = make()\n"
    "model.load_state_dict(load_file(Path(__file__).parent / 'weights.safetensors'))",
    "a module by a computed name": "import importlib\nmodel = importlib.import_module('deep.' + 'shape' + 's').made()",
    "open": "import json\nmodel = nn.GRU(*json.load(open('settings.json')), batch_first=True)",
}


def _reader(home: Path, body: str, *, at_import: bool) -> None:
    """A package `deep` whose `build` needs more than code, and what it needs."""
    (home / "deep").mkdir(parents=True)
    lines = [
        "import torch",
        "from torch import nn",
        "",
        "",
        "def make():",
        "    return nn.GRU(3, 4, batch_first=True)",
        "",
    ]
    if at_import:
        lines += [body, "", "def build():", "    return model"]
    else:
        lines += ["def build():", *(f"    {line}" for line in body.split("\n")), "    return model"]
    (home / "deep" / "reading_part.py").write_text("\n".join(lines) + "\n")
    state = nn.GRU(3, 4, batch_first=True).state_dict()
    torch.save(state, home / "deep" / "weights.pt")
    safetensors.torch.save_file(dict(state), home / "deep" / "weights.safetensors")
    (home / "settings.json").write_text("[3, 4]")
    (home / "deep" / "shapes.py").write_text(
        "from torch import nn\n\n\ndef made():\n    return nn.GRU(3, 4, batch_first=True)\n"
    )
    py_compile.compile(str(home / "deep" / "shapes.py"))  # as after a first run: its source is not opened any more


@pytest.mark.parametrize("at_import", [False, True], ids=["when called", "when imported"])
@pytest.mark.parametrize("body", READERS.values(), ids=list(READERS))
def test_what_a_factory_reads_goes_along(
    body: str, at_import: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model loads where nothing lies of what its function read, more than once, and in a directory of its own."""
    home, other = tmp_path / "home", tmp_path / "other"
    _reader(home, body, at_import=at_import)
    other.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    with _only_here("deep"):
        save(from_factory("deep.reading_part:build"), tmp_path / "model")
        known = sorted(read_record(tmp_path / "model")["code"]["files"])
        before = model_fingerprint(load(tmp_path / "model", allow_code=True))
    assert len(known) == 2
    assert "deep/reading_part.py" in known
    home.rename(tmp_path / "moved")
    monkeypatch.chdir(other)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(home)])
    with _only_here("deep"):
        for _ in range(2):
            assert model_fingerprint(load(tmp_path / "model", allow_code=True)) == before
            assert Path.cwd() == other
        save(load(tmp_path / "model", allow_code=True), tmp_path / "again")
        assert sorted(read_record(tmp_path / "again")["code"]["files"]) == known


def test_what_a_factory_reads_is_taken_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that changed shape since do not keep a saved model from loading; a damaged copy does."""
    _reader(tmp_path / "home", READERS["open"], at_import=False)
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "home"), *sys.path])
    with _only_here("deep"):
        save(from_factory("deep.reading_part:build"), tmp_path / "model")
        before = model_fingerprint(load(tmp_path / "model", allow_code=True))
        (tmp_path / "home" / "settings.json").write_text("[3, 5]")
        with pytest.warns(UserWarning, match="is not as it was when the model"):
            assert model_fingerprint(load(tmp_path / "model", allow_code=True)) == before
        (tmp_path / "model" / "code" / "settings.json").write_text("[3, 6]")
        with pytest.raises(InputError, match=r"settings\.json, which is not the code that the model was saved with"):
            load(tmp_path / "model", allow_code=True)


def test_what_others_read_does_not_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files outside the folder of the package, hidden ones, caches, and what is written."""
    home = tmp_path / "home"
    body = (
        "import json\nmodel = make()\nopen('../outside.txt').read()\nopen('.hidden/a.txt').read()\n"
        "open('__pycache__/b.txt').read()\nopen('log.txt', 'w').write('built')\nopen('more.txt', 'a+').close()"
    )
    _reader(home, body, at_import=False)
    (home / ".hidden").mkdir()
    (home / "__pycache__").mkdir()
    for name in ("../outside.txt", ".hidden/a.txt", "__pycache__/b.txt"):
        (home / name).write_text("read")
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    with _only_here("deep"):
        model = from_factory("deep.reading_part:build")
        (home / "settings.json").read_text()  # after it was built
        save(model, tmp_path / "model")
    assert sorted(read_record(tmp_path / "model")["code"]["files"]) == ["deep/reading_part.py"]


@contextlib.contextmanager
def _only_here(package: str) -> Iterator[None]:
    """No module of the package is known after this."""
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == package]:
            del sys.modules[name]
