"""Options in messages, as whoever reads them has to write them."""

from __future__ import annotations

import pytest

from outlast.errors import InputError, for_a_shell, for_python, in_a_shell

OPTIONS = {"missing", "scale", "category", "classes", "future", "train_context", "max_length", "text_split"}


@pytest.mark.parametrize(
    ("written", "shell", "python"),
    [
        ("choose missing='drop' or missing='hold'", "choose --missing drop or --missing hold", None),
        ("fill it in (missing='hold')", "fill it in (--missing hold)", None),
        ("for example classes=['idle', 'run']", "for example --classes idle run", None),
        (
            "or category={'mode': ['a b', 'c'], 'of': []}, and",
            "or --category 'mode=a b,c' of, and",
            None,
        ),
        ("check --train-context or --max-length", None, "check train_context= or max_length="),
        ("(--scored 64), or --missing hold", None, "(targets=64), or missing='hold'"),
        (
            "read with --scale standard power_kw=log-standard --target-scale log-standard: so",
            None,
            "read with scale=['standard', 'power_kw=log-standard'], target_scale='log-standard': so",
        ),
        ("--scale FILE.json with figures", None, "scale= FILE.json with figures"),
        ("in pandas: read_csv('a', missing='x')", None, None),
        ("carry:future=16 and a missing value", None, None),
        ("as of outlast check --missing hold", None, None),
        ("every=3 is no option", None, None),
    ],
)
def test_a_message_is_spelt_for_its_reader(written: str, shell: str | None, python: str | None) -> None:
    assert for_a_shell(written, OPTIONS) == (shell or written)
    assert for_python(written) == (python or written)


def test_an_error_says_what_to_type_in_a_shell_and_what_to_call_in_python() -> None:
    error = InputError("a gap", "none", "fill it in, or choose missing='hold'; or --horizon")
    assert str(error).endswith("or choose missing='hold'; or horizon=")
    with in_a_shell(OPTIONS):
        assert str(error).endswith("or choose --missing hold; or --horizon")
    assert str(error).endswith("or choose missing='hold'; or horizon=")
