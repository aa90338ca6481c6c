"""Saved models come back bit for bit, or one message says why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

from examples.speech.resemblyzer import SpeakerEncoder
from outlast import families
from outlast.checkpoints import load, model_fingerprint, read_record, save
from outlast.data import Streams
from outlast.errors import InputError
from outlast.evaluation import evaluate
from outlast.interventions import Zero
from outlast.model import InputSpec, Recurrent
from outlast.modules import adapt, from_factory
from outlast.modules.remedies import rule_of, under
from outlast.modules.resetting import WithReset
from outlast.serving import deploy
from outlast.state import leaves
from outlast.training import TrainSettings, fit
from outlast.training.objectives import Regression

CODE = '''
import torch
from torch import nn
import outlast.families
from outlast.model import InputSpec

class Tied(nn.Module):
    """Reads and writes with one matrix, in two dtypes, with a buffer."""
    def __init__(self, width=6):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(9, width), nn.GRU(width, width), nn.Linear(width, 9)
        self.head.weight = self.embed.weight
        self.register_buffer("offset", torch.randn(9))
        self.register_buffer("count", torch.tensor(3))
    def forward(self, x, hidden=None):
        y, hidden = self.rnn(self.embed(x), hidden)
        return self.head(y) + self.offset, hidden

def build():
    return Tied()

def wider():
    return Tied(7)

def untied():
    model = Tied()
    model.head.weight = nn.Parameter(torch.randn(9, 6))
    return model

def fails():
    raise ZeroDivisionError("no data")

def needs(argument):
    return Tied()

def number():
    return 7

def leaves():
    raise SystemExit("no licence")

class Odd(BaseException):
    pass

def is_odd():
    raise Odd("neither an exception nor an exit")

def family():
    return outlast.families.build("lstm", inputs=InputSpec("tokens", 9), outputs=9)

class Extra(Tied):
    def get_extra_state(self):
        return {"anything": 1}
    def set_extra_state(self, state):
        pass

def extra():
    return Extra()

constant = 3
'''


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "saved_code.py").write_text(CODE)
    (tmp_path / "code" / "imports_nothing.py").write_text("import a_missing_package\n")
    (tmp_path / "code" / "raises_at_once.py").write_text("raise OSError('no such disk')\n")
    (tmp_path / "code" / "leaves_at_once.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path / "code")
    monkeypatch.delitem(sys.modules, "saved_code", raising=False)
    # The current directory joins the path by itself, wherever that is now.
    monkeypatch.setattr(sys, "path", list(sys.path))
    return "saved_code"


def answer(model: Recurrent) -> list[torch.Tensor]:
    spec = model.input_spec
    assert spec is not None
    dtype = next(model.parameters()).dtype
    inputs = spec.random(2, 7, torch.Generator().manual_seed(1), dtype)
    with torch.no_grad():
        return leaves(model.eval()(inputs, model.initial_state(2)))


def assert_same(a: Recurrent, b: Recurrent) -> None:
    assert all(torch.equal(x, y) for x, y in zip(answer(a), answer(b), strict=True))
    assert model_fingerprint(a) == model_fingerprint(b)


@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "module",
    [
        nn.LSTM(3, 4, 2, proj_size=2, dropout=0.1),
        nn.GRU(3, 4, batch_first=True, bias=False),
        nn.RNN(3, 4, nonlinearity="relu"),
    ],
    ids=lambda module: type(module).__name__,
)
def test_torch_modules_come_back(module: nn.RNNBase, dtype: torch.dtype, tmp_path: Path) -> None:
    model = adapt(module.to(dtype))
    save(model, tmp_path / "model", provenance={"from": "a test", "steps": 3})
    loaded = load(tmp_path / "model")
    assert_same(model, loaded)
    assert loaded.blueprint == model.blueprint
    assert not loaded.training
    record = read_record(tmp_path / "model")
    assert record["provenance"] == {"from": "a test", "steps": 3}
    assert record["outlast"] == "0.1.0"


@pytest.mark.parametrize("family", ["lstm", "gla"])
def test_families_come_back(family: str, tmp_path: Path) -> None:
    model = families.build(family, inputs=InputSpec("tokens", 9), outputs=9, seed=3)
    with torch.no_grad():
        next(model.parameters()).add_(1.0)
    save(model, tmp_path)
    assert_same(model, load(tmp_path))


def test_factories_come_back(code: str, tmp_path: Path) -> None:
    model = from_factory(f"{code}:build")
    save(model, tmp_path / "model")
    loaded: Any = load(tmp_path / "model", allow_code=True)
    assert_same(model, loaded)
    assert loaded.blueprint == {"kind": "factory", "factory": f"{code}:build"}
    assert loaded.module.head.weight is loaded.module.embed.weight
    names = set(safetensors.torch.load_file(tmp_path / "model" / "model.safetensors"))
    assert len([name for name in names if name.endswith(("head.weight", "embed.weight"))]) == 1


def test_code_that_a_directory_names_runs_only_where_it_may(code: str, tmp_path: Path) -> None:
    save(from_factory(f"{code}:build"), tmp_path / "model")
    del sys.modules[code]
    with pytest.raises(InputError, match=f"running the function '{code}:build'") as caught:
        load(tmp_path / "model")
    assert code not in sys.modules  # importing it would have run it
    assert "allow_code=True" in caught.value.do
    assert "--allow-code" in caught.value.do
    load(tmp_path / "model", allow_code=True)
    assert code in sys.modules


def test_a_directory_of_a_class_that_left_the_package_still_loads(tmp_path: Path) -> None:
    model = SpeakerEncoder()
    save(model, tmp_path)
    rewrite(tmp_path, lambda r: r["blueprint"].update(factory="outlast.tasks.resemblyzer:SpeakerEncoder"))
    with pytest.raises(InputError, match=r"examples\.speech\.resemblyzer:SpeakerEncoder"):
        load(tmp_path)
    assert_same(model, load(tmp_path, allow_code=True))


@pytest.mark.parametrize("factory", ["outlast.cli:main", "outlast.families.gla:GLA", "outlast:no", 7])
def test_a_function_of_the_packages_own_is_code_too(tmp_path: Path, factory: object) -> None:
    save(SpeakerEncoder(), tmp_path)
    rewrite(tmp_path, lambda r: r["blueprint"].update(factory=factory))
    with pytest.raises(InputError, match="running the function"):
        load(tmp_path)


def test_a_familys_blueprint_needs_no_factory(code: str) -> None:
    blueprint: Any = from_factory(f"{code}:family").blueprint
    assert blueprint["family"] == "lstm"


def test_saving_again_replaces_and_leaves_other_files(code: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "report.html").write_text("kept")
    first, second = from_factory(f"{code}:build"), from_factory(f"{code}:build")
    save(first, tmp_path / "model")
    save(second, tmp_path / "model")
    assert_same(second, load(tmp_path / "model", allow_code=True))
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "code",
        "model.safetensors",
        "outlast.json",
        "report.html",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["code", "model"]


def test_a_blueprint_under_its_first_name_is_read(tmp_path: Path) -> None:
    model = families.build("gru", inputs=InputSpec("features", 2), outputs=1, width=4)
    save(model, tmp_path)
    rewrite(tmp_path, lambda r: r.update(recipe=r.pop("blueprint")))
    assert load(tmp_path).blueprint == model.blueprint


def test_a_model_without_a_blueprint_is_refused(tmp_path: Path) -> None:
    class Mine(nn.LSTM):
        pass

    with pytest.raises(InputError, match="from_factory"):
        save(adapt(Mine(2, 3)), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_what_only_pickle_could_save_is_refused(code: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="_extra_state"):
        save(from_factory(f"{code}:extra"), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["code"]


def rewrite(directory: Path, change: Any) -> None:
    """Change outlast.json."""
    record = json.loads((directory / "outlast.json").read_text())
    change(record)
    (directory / "outlast.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("factory", "words"),
    [
        ("wider", ["of another shape", "embed.weight (9, 6) for (9, 7)"]),
        ("untied", ["missing", "head.weight"]),
    ],
)
def test_a_blueprint_that_no_longer_fits(code: str, tmp_path: Path, factory: str, words: list[str]) -> None:
    save(from_factory(f"{code}:build"), tmp_path / "model")
    rewrite(tmp_path / "model", lambda r: r["blueprint"].update(factory=f"{code}:{factory}"))
    with pytest.raises(InputError) as caught:
        load(tmp_path / "model", allow_code=True)
    for word in words:
        assert word in str(caught.value)


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    save(adapt(nn.LSTM(3, 4, 2)), tmp_path)
    rewrite(tmp_path, lambda r: r["blueprint"]["settings"].update(num_layers=1))
    with pytest.raises(InputError, match=r"not in the model: .*weight_hh_l1"):
        load(tmp_path)
    rewrite(tmp_path, lambda r: r["blueprint"]["settings"].update(num_layers=3))
    with pytest.raises(InputError, match=r"missing: .*weight_hh_l2"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["blueprint"].update(kind="torch.nn.LTSM"), "did you mean 'torch.nn.LSTM'"),
        (lambda r: r["blueprint"].update(kind=["a", "list"]), "kind of model"),
        (lambda r: r["blueprint"]["settings"].update(colour="red"), "colour"),
        (lambda r: r["blueprint"].pop("settings"), "settings"),
        (lambda r: r.pop("blueprint"), "does not have the fields"),
        (lambda r: r.update(weights_sha256="0" * 64), "SHA-256"),
    ],
)
def test_a_damaged_record(change: Any, words: str, tmp_path: Path) -> None:
    save(adapt(nn.LSTM(3, 4)), tmp_path)
    rewrite(tmp_path, change)
    with pytest.raises(InputError, match=words):
        load(tmp_path)


def test_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        load(tmp_path / "nowhere")
    save(adapt(nn.LSTM(3, 4)), tmp_path)
    weights, record = tmp_path / "model.safetensors", tmp_path / "outlast.json"
    good, text = weights.read_bytes(), record.read_text()
    for bad in (good[:-3], good[:100], b"", good[:-1] + bytes([good[-1] ^ 1])):
        weights.write_bytes(bad)
        with pytest.raises(InputError, match="cannot be used"):
            load(tmp_path)
    weights.unlink()
    with pytest.raises(InputError, match="No such file"):
        load(tmp_path)
    weights.write_bytes(good)
    for broken in (text[:50], "[]", "", "\x00"):
        record.write_text(broken)
        with pytest.raises(InputError, match="cannot be used"):
            load(tmp_path)


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    save(adapt(nn.LSTM(3, 4)), tmp_path)
    with pytest.raises(InputError, match="no_such"):
        load(tmp_path, "no_such")


FULL_DISK = """
import resource, signal, sys, pathlib
import torch
from outlast.modules import adapt
from outlast.checkpoints import load, model_fingerprint, save
from outlast.errors import InputError
target = pathlib.Path(sys.argv[1])
model = adapt(torch.nn.LSTM(8, 64))
save(model, target / "old")
before = model_fingerprint(model)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
with torch.no_grad():
    next(model.parameters()).zero_()
for name in ("old", "new"):
    try:
        save(model, target / name)
    except InputError as error:
        print(error)
    else:
        sys.exit("was written")
assert [path.name for path in target.iterdir()] == ["old"], list(target.iterdir())
assert sorted(path.name for path in (target / "old").iterdir()) == ["model.safetensors", "outlast.json"]
assert model_fingerprint(load(target / "old")) == before
"""


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("could not be written") == 2


@pytest.mark.parametrize("written", [0, 1])
def test_a_save_that_is_cut_short_passes_for_no_model_and_says_whose_it_is(
    written: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder that is there already, whose files are replaced one after the other."""
    (tmp_path / "notes.txt").write_text("mine")
    replace, left = os.replace, written

    def cut(*arguments: Any) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        replace(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            save(adapt(nn.LSTM(3, 4)), tmp_path, provenance={"verb": "train"})
    with pytest.raises(InputError, match="cannot be used" if written else "a folder without"):
        load(tmp_path)
    if written:
        assert read_record(tmp_path)["provenance"] == {"verb": "train"}


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file", "file/model"):
        with pytest.raises(InputError, match="could not be written"):
            save(adapt(nn.LSTM(3, 4)), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("saved_code", "package.module:build"),
        ("saved_code:", "package.module:build"),
        ("saved code:build", "package.module:build"),
        ("no_such_code:build", "run from the directory that holds no_such_code"),
        ("saved_code.deeper:build", "saved_code"),
        ("imports_nothing:build", "install 'a_missing_package'"),
        ("raises_at_once:build", "OSError: no such disk"),
        (
            "leaves_at_once:build",
            "importing leaves_at_once for the factory 'leaves_at_once:build' raised SystemExit: 0",
        ),
        ("saved_code:leaves", "calling leaves() for the factory 'saved_code:leaves' raised SystemExit: no licence"),
        ("saved_code:is_odd", "Odd: neither an exception nor an exit"),
        ("saved_code:biuld", "did you mean 'build'"),
        ("saved_code:constant", "type int"),
        ("saved_code:fails", "ZeroDivisionError: no data"),
        ("saved_code:needs", "argument"),
        ("saved_code:number", "type int"),
    ],
)
def test_factories_that_lead_nowhere(code: str, spec: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_factory(spec)
    assert words in str(caught.value)


def test_a_wrong_name_is_answered_by_what_the_module_itself_defines(code: str) -> None:
    Path("imports_much.py").write_text(
        "from pathlib import Path\nfrom torch import nn\ndef build():\n    return nn.GRU(2, 3)\n"
    )
    with pytest.raises(InputError) as caught:
        from_factory("imports_much:model")
    assert caught.value.expected == "one of build"


def test_fingerprints_differ_by_one_bit_and_by_dtype() -> None:
    model = adapt(nn.GRU(2, 3))
    before = model_fingerprint(model)
    assert model_fingerprint(model) == before
    with torch.no_grad():
        weight = next(model.parameters())
        weight.view(torch.int32)[0, 0] ^= 1
    after = model_fingerprint(model)
    assert len({before, after, model_fingerprint(model.double())}) == 3


def test_what_is_no_number_in_the_provenance_does_not_cost_the_model(tmp_path: Path) -> None:
    save(adapt(nn.LSTM(3, 4)), tmp_path / "saved", provenance={"scale": [float("inf"), 1.0], "clip": float("nan")})
    assert read_record(tmp_path / "saved")["provenance"] == {"scale": [None, 1.0], "clip": None}
    load(tmp_path / "saved")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that imports its neighbours, built into a saved model; then all of it is gone."""
    home = tmp_path / "home"
    (home / "parts" / "deep").mkdir(parents=True)
    (home / "main_part.py").write_text(
        "import json\nfrom torch import nn\nfrom parts.deep import cell\n\n\ndef build():\n    return cell.make()\n"
    )
    (home / "parts" / "__init__.py").write_text("")
    (home / "parts" / "deep" / "__init__.py").write_text("from . import sizes\n")
    (home / "parts" / "deep" / "sizes.py").write_text("WIDTH = 5\n")
    (home / "parts" / "deep" / "cell.py").write_text(
        "import safetensors\nfrom torch import nn\nfrom .sizes import WIDTH\n\n\n"
        "def make():\n    return nn.GRU(WIDTH, WIDTH, batch_first=True, dropout=0.0, bias=True, num_layers=2)\n"
    )
    (home / "unused.py").write_text("raise RuntimeError\n")
    _forget()
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [str(home), *sys.path])
    model = from_factory("main_part:build")
    save(model, tmp_path / "model")
    return home


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("main_part", "parts")]:
        del sys.modules[name]


def _gone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _forget()
    (home.parent / "other").mkdir()
    monkeypatch.chdir(home.parent / "other")
    home.rename(home.parent / "moved")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(home)])


def test_the_source_of_a_factory_goes_along(elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what building it imports, and the packages around it are named."""
    code = read_record(tmp_path / "model")["code"]
    assert sorted(code["files"]) == [
        "main_part.py",
        "parts/__init__.py",
        "parts/deep/__init__.py",
        "parts/deep/cell.py",
        "parts/deep/sizes.py",
    ]
    assert sorted(code["packages"]) == ["safetensors", "torch"]
    before = load(tmp_path / "model", allow_code=True)
    _gone(elsewhere, monkeypatch)
    assert_same(before, load(tmp_path / "model", allow_code=True))
    assert_same(before, load(tmp_path / "model", allow_code=True))


def test_another_module_of_the_same_name_is_not_taken_for_it(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load(tmp_path / "model", allow_code=True)
    _gone(elsewhere, monkeypatch)
    (tmp_path / "other" / "main_part.py").write_text("def build():\n    raise RuntimeError('another one')\n")
    with pytest.warns(UserWarning, match="is not as it was when the model"):
        assert_same(before, load(tmp_path / "model", allow_code=True))
    import main_part  # pyright: ignore[reportMissingImports]

    with pytest.raises(RuntimeError, match="another one"):
        main_part.build()


def test_code_that_somebody_wrote_into_is_refused(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _gone(elsewhere, monkeypatch)
    (tmp_path / "model" / "code" / "parts" / "deep" / "sizes.py").write_text("WIDTH = 6\n")
    with pytest.raises(InputError, match=r"sizes\.py, which is not the code that the model was saved with"):
        load(tmp_path / "model", allow_code=True)


def test_what_is_missing_is_named_with_its_version(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _gone(elsewhere, monkeypatch)
    record = json.loads((tmp_path / "model" / "outlast.json").read_text())
    record["code"]["files"] = {}
    (tmp_path / "model" / "outlast.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"directory that holds main_part.*the model was saved with safetensors=="):
        load(tmp_path / "model", allow_code=True)


def test_a_schema_is_saved_and_held_against_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(f"{i % 7},{i % 5}" for i in range(200)))
    (tmp_path / "b.csv").write_text("x,y\n" + "\n".join(f"{i % 9},{i % 5}" for i in range(200)))
    streams = Streams.from_table(tmp_path / "a.csv", target="y", horizon=3)
    model = families.build("gru", inputs=InputSpec("features", 2), outputs=1, width=4, layers=1)
    fit(model, streams, Regression(), Zero(), 8, TrainSettings(steps=2, batch_size=2))
    save(model, tmp_path / "model")
    back = load(tmp_path / "model")
    assert back.schema == streams.schema
    evaluate(back, Streams.from_table(tmp_path / "b.csv", schema=back.schema).cut(16), train_context=4)
    for options, named in (
        ({"target": "y", "horizon": 3}, "a table that was scaled with its own figures"),
        ({"target": "x", "horizon": 3}, "the target x"),
        ({"target": "y", "horizon": 2}, r"the target y \(value, 2 ahead\) for a model that forecasts y"),
        ({"target": "y", "horizon": 3, "inputs": ["y", "x"]}, "inputs y, x for a model that was trained on x, y"),
    ):
        with pytest.raises(InputError, match=named):
            evaluate(back, Streams.from_table(tmp_path / "b.csv", **options).cut(16), train_context=4)


@pytest.mark.parametrize("remedy", ["reset:7", "handover:6:2", "two-copies:8"])
def test_a_remedy_is_saved_with_its_model(remedy: str, tmp_path: Path) -> None:
    """The directory is ready to run: load and deploy give back the model under its remedy."""
    plain = families.build("lstm", inputs=InputSpec("features", 2), outputs=1, width=4, layers=1, seed=0)
    model = under(plain, remedy).eval()
    save(model, tmp_path / "m")
    loaded = load(tmp_path / "m")
    assert isinstance(loaded, WithReset)
    assert rule_of(loaded) == remedy
    inputs = torch.randn(2, 30, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(loaded(inputs, loaded.initial_state(2))[0], model(inputs, model.initial_state(2))[0])
    assert deploy(tmp_path / "m").fingerprint == model_fingerprint(model)
    other = under(plain, "reset:5")
    assert model_fingerprint(other) != model_fingerprint(model)
