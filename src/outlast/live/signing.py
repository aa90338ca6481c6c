"""Who decides, and in what words: a name that answers for something later, and text that does nothing to a terminal."""

from __future__ import annotations

import unicodedata

from outlast.errors import InputError

ITSELF = "outlast"
"""Who decided where nobody did: a run goes by the evidence alone."""


def signed(by: str, because: str | None = None, note: str | None = None, *, typed: bool = False) -> str:
    """The name of whoever decides.

    Args:
        because, note: what they say beside it.
        typed: on the command line, whose options are then named.

    Raises:
        InputError: no name, that of outlast itself, or characters that move a terminal's cursor or hide text.
    """

    def given(name: str, text: str) -> str:
        return f"--{name} {text!r}" if typed else f"{name}={text!r}"

    for name, text in {"by": by, "because": because, "note": note}.items():
        lines = "" if name == "by" else "\n\t"  # a note may have several
        if text is not None and (odd := next((each for each in text if _acts(each) and each not in lines), None)):
            raise InputError(
                f"{given(name, text)}, with the character {unicodedata.name(odd, f'U+{ord(odd):04X}')}",
                "a name on one line, and text without control characters",
                "leave that character out",
            )
    if not by.strip() or by.strip().lower() == ITSELF:
        why = f": {ITSELF} stands for what a run decided by itself" if by.strip() else ""
        example = "--by ann" if typed else "by='ann'"
        raise InputError(given("by", by), f"the name of a person{why}", f"say who answers for it, such as {example}")
    return by


def _acts(character: str) -> bool:
    """Whether a character is no part of a text: control and format characters, halves of pairs, ends of lines."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
