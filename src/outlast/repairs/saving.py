"""Where the models of a repair are kept: accepted, refused, and the control where that passes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outlast import checkpoints
from outlast.model import Recurrent
from outlast.results import Repair

TUNED = "tuned"
"""The folder of a base under its remedy, where a repair of it is kept too."""
MODELS = ("model", "refused", "control", TUNED)
"""Folders that get models."""
UNTOUCHED = {
    "nothing_to_repair": "no model was written: there is nothing to repair (--anyway goes on all the same)",
    "not_shown_to_fail": "no model was written: validation streams do not show that the model fails (--anyway trains "
    "it all the same)",
    "base_broken": "no model was written: the base is broken, and other starts do not mend it",
}
"""What is said where nothing was done, by refusal."""


def save_models(out: Path, result: Repair, model: Recurrent, control: Recurrent | None, made: dict[str, Any]) -> str:
    """Save the repaired model to ``model/`` or ``refused/``, and a control that passes where the repair does not.

    Args:
        out: folder.
        made: how the model was made, kept with it.

    Returns:
        what to say of it.
    """
    refusal = result.refused_because
    if refusal is not None and refusal.untouched:
        return UNTOUCHED[refusal.name]
    folder = out / ("model" if refusal is None else "refused")
    checkpoints.save(model, folder, provenance={**made, "by": result.intervention, "dose": result.dose})
    said = [f"{'repaired model' if refusal is None else 'refused model, kept for a look'}: {folder}"]
    if control is not None and refusal is not None and result.control_passes:
        folder = out / "control"
        checkpoints.save(control, folder, provenance={**made, "control_of": result.intervention})
        said.append(f"the same training from zero states, which passes: {folder}")
    return "\n".join(said)
