"""What the base and the repaired model write on at an old age, beside each other and beside how the text goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from outlast.reporting import captions
from outlast.reporting.elements import Excerpt, Paragraph, Section
from outlast.reporting.labels import labels
from outlast.results import Sample

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]")
"""Signs that show nothing, steer a terminal, or turn the direction of what follows."""


def shown(text: str) -> str:
    """A text with a replacement for every sign that is none to look at; line ends and tabs stay."""
    return _UNSEEN.sub("\ufffd", text.replace("\r\n", "\n"))


def sample_sections(samples: Sequence[Sample], repaired: str) -> list[Section]:
    """One section, or none where no text was written.

    Args:
        repaired: what the repair is called.
    """
    if not samples:
        return []
    excerpts = [
        Excerpt(
            captions.sampled(each),
            (labels.SAMPLE_READ, shown(each.read)),
            [(labels.SAMPLE_TRUE, shown(each.true)), (labels.BASE, shown(each.base)), (repaired, shown(each.repaired))],
        )
        for each in samples
    ]
    return [Section(labels.SAMPLES, [Paragraph(captions.samples_hint(samples[0])), *excerpts])]
