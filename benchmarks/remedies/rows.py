"""Remedies that the study tries beside those that outlast ships, each with one number that validation chooses.

A row is a function of a base that is set up and of the base on validation streams, `(todo, seen) -> Made | None`: it
chooses its number on `todo.validation`, and gives the model that reads with it; None: this base has nothing that the
row changes. It must not touch `todo.data.test`. The study then measures the model on test streams as all others.
"""

from __future__ import annotations

from benchmarks.remedies.made import Made, Row
from benchmarks.remedies.mixture import mixture
from benchmarks.remedies.scalars import SCALARS, Scalar
from outlast.model import Recurrent
from outlast.repairs.setup import Setup
from outlast.results import Evaluation


def _chosen(name: str, scalar: Scalar) -> Row:
    """The row of one way: the number of the least loss at the oldest age on validation streams."""

    def row(todo: Setup, seen: Evaluation) -> Made | None:
        made: dict[float, Recurrent] = {}
        for number in scalar.numbers(todo.train_context):
            model = scalar.make(todo, number)
            if model is None:
                return None
            made[number] = model
        found = {
            number: todo.evaluate(model, todo.validation, f"{name}, {number:g}", None, ends_only=True).oldest.loss
            for number, model in made.items()
        }
        best = min(found, key=lambda number: found[number])
        return Made(f"{scalar.rule}:{best:g}", made[best], scalar.cost)

    return row


ROWS: dict[str, Row] = {
    **{name: _chosen(name, scalar) for name, scalar in SCALARS.items()},
    "mixture of ages by arrived losses": mixture,
}
"""By name. What is added here is measured on bases that were run before as well, from the weights that they left."""
