"""Who decides about versions and incidents is a person with a name."""

from __future__ import annotations

import pytest

from outlast import InputError
from outlast.live.signing import signed

ODD = ["", "  ", "outlast", " Outlast", "ann\x1b[2J", "ann\n", "ann\u202e", "ann\ud800", "ann\0"]


@pytest.mark.parametrize("by", ODD, ids=ascii)
def test_what_is_no_name(by: str) -> None:
    with pytest.raises(InputError, match=r"^given: by="):
        signed(by)


def test_names() -> None:
    assert signed("ann", "two\nlines", "a\ttab") == "ann"
    for name in ("ann", "佐藤 花子", "佐藤\u3000花子", "outlast-team", "Ann O'Neill"):
        assert signed(name, "数値が良い", None) == name


@pytest.mark.parametrize("words", ["\x1b]0;title\x07", "one\rtwo"])
def test_words_that_act_on_a_terminal(words: str) -> None:
    with pytest.raises(InputError, match=r"^given: because=.*, with the character"):
        signed("ann", words)
    with pytest.raises(InputError, match=r"^given: note=.*, with the character"):
        signed("ann", None, words)
