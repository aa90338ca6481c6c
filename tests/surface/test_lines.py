"""What a thousand command lines give, as it was written down: a difference is meant, or it is a fault."""

from __future__ import annotations

from surface.lines import given, recorded


def test_command_lines_give_what_was_recorded() -> None:
    lines = recorded()
    assert len(lines) >= 1000
    wrong = [(each["line"], each["gives"], now) for each in lines if (now := given(each)) != each["gives"]]
    assert not wrong, "\n".join([*(f"{line}\n  recorded {old}\n  now      {now}" for line, old, now in wrong)])
