"""A warning where a model does no better than always guessing the same: most often its inputs are of another scale, or
its tokens another tokenizer's."""

from __future__ import annotations

from outlast.results import Evaluation

_CONSTANTS = {
    "cross_entropy": "guessing by how frequent each class is among these targets",
    "error_rate": "always guessing the most frequent class",
    "squared_error": "always guessing the mean of these targets",
    "absolute_error": "always guessing the median of these targets",
}
"""What the best constant is, by measure."""


def no_better_than_guessing(evaluation: Evaluation) -> str | None:
    """A warning where, within its training context, the model is no better than the best constant on its targets."""
    guess = evaluation.guesses.get("constant")
    if evaluation.verdict is not None and evaluation.verdict.name in ("broken", "misread"):
        return None  # another scale is not the reason, or the verdict says that it is
    if evaluation.short is None or guess is None or evaluation.measure not in _CONSTANTS:
        return None
    if evaluation.short.loss < guess.loss:
        return None
    why = (
        "the inputs are scaled otherwise than in its training (--scale), or --inputs, --target or --horizon are not "
        "those it was trained for"
    )
    if str(evaluation.data.get("target", "")).startswith("next "):  # tokens or bytes: there is nothing to scale
        why = "the text was read with another tokenizer than in its training (--tokenizer), or as bytes"
    return (
        f"warning: within its training context the model is no better ({evaluation.measure.replace('_', ' ')} "
        f"{evaluation.short.loss:.4g}) than {_CONSTANTS[evaluation.measure]} ({guess.loss:.4g}). Most often {why}."
    )
