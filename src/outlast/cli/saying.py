"""What is said on standard error before the long work."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from outlast.results import Note


def tell(notes: Sequence[Note]) -> None:
    """What one has to know before the long work."""
    for note in notes:
        print(note.said, file=sys.stderr)
