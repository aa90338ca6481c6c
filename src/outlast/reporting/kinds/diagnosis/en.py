"""What a diagnosis says in English. `diagnosis_ja` has the same names; neither computes anything."""

from __future__ import annotations

from collections.abc import Mapping

from outlast.reporting import labels
from outlast.reporting.kinds import evaluation as _measured
from outlast.reporting.kinds.diagnosis.terms import HOLDS
from outlast.results import Cause, Evaluation, Note

KIND = labels.DIAGNOSIS
BADGES = labels.BADGES
MEASURES = labels.MEASURES
UNITS: dict[str, str] = {
    unit: unit for unit in ("total variation", "spreads of the target", "spreads of the embeddings")
}
UNKNOWN = "Cause unknown"

CONTENTS, SKIP, GLOSSARY, FOOTER = labels.CONTENTS, labels.SKIP, labels.GLOSSARY, labels.FOOTER
CAUSES = "Why"
HELP = "What helps now, without training"
NEXT = "Next command"
AGE_CURVE = labels.EXCESS_CURVE
REMEMBRANCE = "Effective remembrance"
MAP = "Map of states"
COVERAGE = "How much of what is visited lies where training has nothing"
PARTS = "Which layer and head carries the excess"
TRACE = "Where harmful moments come from"
OUTLOOK = "What the gap explains, and what lies ahead"
METHOD = labels.METHOD
NOTES = labels.NOTES
NUMBERS = labels.NUMBERS
WHOLE_TIME = "time of the whole diagnosis"

CAUSE_NAMES, CAUSE_SENTENCES = labels.CAUSE_NAMES, labels.CAUSE_SENTENCES
FOUND = {True: "found", False: "not found", None: "not asked"}
COLUMNS_CAUSE = ("possible cause", "answer", "evidence")
COLUMNS_HELP = ("without training", "loss", "cost")
COLUMNS_COVERAGE = ("seen as", "young states", "oldest states", "distance (chance)", "n")
COLUMNS_PARTS = (
    "part",
    "adds to the excess",
    "young value put into the old state",
    "old value put into the young one",
    "n",
)
COLUMNS_TRACE = ("moment", "harm", "comes from", "holds")
RESETS = {
    "periodic_reset": "reset every {every} positions",
    "overlapping_reset": "two copies, reset every {every} in turn",
}
COSTS = {"periodic_reset": "none", "overlapping_reset": "twice the running cost"}
AS_IT_IS = "as it is, at the oldest age"
COLUMNS_REMEMBRANCE = ("kept", "distance", "n")
COLUMNS_AGE = ("age", "loss", "excess", "n")

AGE_AXIS = (labels.AGE_AXIS, labels.AGE_AXIS_NARROW)
KEPT_AXIS = ("last positions that are kept", "last positions kept")
RESET_AXIS = ("positions read before the moment", "positions read before")
MAP_AXES = ("first principal component of training states", "second principal component")
REGION = "where training has states"
SUM, EXCESS = "sum", "excess"
TRAIN_CONTEXT = labels.TRAIN_CONTEXT
BASE = labels.BASE
RESET_NAMES = labels.RESETS
GUESSES = {"constant": labels.GUESSES["constant"], "persistence": labels.GUESSES["persistence"]}
GUESS_NAMES = {"constant": "constant", "persistence": "persistence"}
GUESS_COST = "it reads nothing"
TOLERANCE = labels.TOLERANCE
LEVELS = ("excess within the tolerance", "excess above it", "largest third of excesses")
STATES = {False: "like training's", True: "unexplored"}
MEAN_PATH = "mean over streams, by age"
CONTRIBUTION, INTERVAL, SWAP = "adds to the excess (path integral)", "95 % interval", "what swapping says"
SPACES = {"whole state": "whole state", "behaviour": "behaviour"}
FIGURES = {
    "train_context": "Training context",
    "oldest": "Oldest age tested",
    "tested": "Tested on",
    "cause": "Main cause",
    "part": "Part that adds most",
}


def finished(text: str) -> str:
    """Signs as English writes them."""
    return text


def positions(count: str) -> str:
    return f"{count} positions"


def asked_in(asked: str, measure: str) -> str:
    return (
        f"Old and young states are compared by the {asked}, which says more about a single moment than the {measure} "
        f"does."
    )


def streams(count: str, unit: str) -> str:
    return (
        f"{count} {unit}{'' if count == '1' else 's'}" if " " not in unit else f"{count} {unit.replace(' ', 's ', 1)}"
    )


def in_blocks(pieces: str, blocks: str) -> str:
    return f"{pieces} in {blocks} blocks"


def excess_axis(axis: str) -> str:
    return labels.EXCESS_OF.format(axis)


def headline(evaluation: Evaluation, numbers: Mapping[str, str], cause: str | None) -> str:
    """That of the evaluation, and the reason."""
    text, verdict = _measured.headline(evaluation), evaluation.verdict
    if cause is not None:
        return f"{text} The reason: {CAUSE_SENTENCES[cause]}."
    if verdict is not None and verdict.name == "fails":
        return f"{text} None of the causes that were asked about explains it."
    return f"{text} Nothing was found that holds it back." if verdict is not None and verdict.name in HOLDS else text


def broken(why: Note) -> str:
    return labels.BROKEN.format(why.said)


def note(odd: Note) -> str:
    """What was odd, as the result says it."""
    return f"{odd.said[:1].upper()}{odd.said[1:]}."


def no_verdict() -> str:
    return "There is no verdict and no cause, because the data have no targets to judge by."


def lead(best: str, loss: str, own: str) -> str:
    return f"What helps now, without training: {best} gives {loss} instead of {own} on the same targets."


def evidence(cause: Cause) -> list[str]:
    """The sentences that the result carries."""
    return list(cause.because)


def left_out(what: str, why: str) -> str:
    return f"Not measured: {what}, because {why}."


def shorter(used: str, asked: str, pieces: str) -> str:
    return f"{used} positions of each stream were read, not the {asked} asked for: {pieces} are no longer than that."


def no_help() -> str:
    return "No reset is better than the model as it is."


def advice(cause: str | None, verdict: str) -> str:
    if verdict == "broken":
        return "Find out why before anything else; a check says which points of the contract hold:"
    if cause == "numerics":
        return "Keep the state in float32 (or run the model in float32) and diagnose it again:"
    if cause == "attention_window":
        return "Limit the attention window to the training context, then measure again; to train with other starts:"
    if cause == "train_context":
        return "Name the length that the model was trained on, and diagnose it again:"
    if cause == "stale_context":
        return "Repair the model with an expected run as long as one situation of the world lasts:"
    if cause == "memory_limited":
        return "No other start gives a longer memory at once; try carrying the state for long, and compare:"
    if verdict == "fails":
        return "Repair the model with other starts, the architecture as it is:"
    if verdict == "undecided":
        return "Measure again on more streams, and on data without what is odd here, if anything is:"
    if verdict == "declines":
        return (
            "Keep it near the ages where it is best: reset it before it gets worse, or repair it, so that what it "
            "gains past the training context lasts:"
        )
    return "Nothing needs repair up to the oldest age tested. Measure older states on longer streams:"


def age_caption(n: str, excess: bool) -> str:
    what = (
        "Every point is the loss of the same targets, predicted from a state of another age, minus the loss within the "
        "training context (short), stream by stream: the verdict rests on these paired differences."
        if excess
        else "Every point scores the same targets, predicted from a state of another age."
    )
    return (
        f"{what} Lower is better. Left of the dashed line are ages the model met in training. The band is a "
        f"95\u00a0% interval over {n}, for all ages together. Horizontal lines: the tolerance, the model when its "
        f"state is reset, and guesses that read nothing (those far off are in the table above only)."
    )


def remembrance_caption(context: str, enough: str | None, negligible: str) -> str:
    rest = (
        f"From {enough} kept positions on it stays at or below {negligible}: older inputs no longer matter."
        if enough
        else f"It does not stay below {negligible}: even the oldest inputs still sway what the model says."
    )
    return (
        f"How far the prediction after {context} positions moves when only the last ones are read, from the initial "
        f"state. A "
        f"failing model has a high plateau to the right of the dashed line. {rest}"
    )


def map_caption(explained: str, null: str, samples: str) -> str:
    return (
        "Grey dots are states that training windows pass through, and the shaded region holds 95\u00a0% of them. "
        "Symbols are "
        "states met in deployment; hollow ones lie where training has no states (measured in all dimensions, not in "
        "this "
        f"plane). The line is the mean over streams as the state grows older. States far out are drawn closer than "
        f"they are. The plane shows {explained} of the variance of "
        f"training states; {null} of training's own states would be called unexplored by chance. {samples} training "
        f"states."
    )


def coverage_caption(null: str, decorrelation: str) -> str:
    return (
        f"Share of states outside the training states' support (nearest neighbours; by chance {null}), one state a "
        f"stream and "
        f"{decorrelation} positions, after which states of one stream are no longer alike. Young states of the same "
        f"streams "
        "show what comes from the data and not from age. Distance: sliced Wasserstein, in training standard "
        "deviations. "
        "Behaviour: how short continuations are predicted from the state; a state may drift where behaviour does not."
    )


def parts_caption(total: str, excess: str, error: str, ranks: str | None, same: bool, ages: str, n: str) -> str:
    agree = (
        "The two name the same part first." if same else "The two do not name the same part first: trust neither alone."
    )
    rank = f" Their rankings correlate with {ranks}." if ranks else ""
    return (
        f"Bars split the excess of states of age {ages} over young ones on the same targets; they add up to "
        f"{total}, the "
        f"measured excess is {excess} (error by stream: {error}, root mean square). Diamonds say what the loss does "
        f"when the "
        f"part is swapped between the two states. {agree}{rank} n = {n}."
    )


def trace_caption(count: str, considered: str) -> str:
    return (
        f"The loss at the {count} worst of {considered} moments, by how much was read before them. Where a line rises, "
        "reading further back does the harm; the broad stretch is the shortest that holds most of it. They were chosen "
        "for being the worst, so their harm is not typical, and chance has a part in it."
    )


def trace_source(first: str, last: str) -> str:
    return f"positions {first} to {last}"


def trace_from(source: str) -> str:
    return f"from {source}"


def trace_sentence(moment: str, stream: str, source: str, share: str) -> str:
    return f"The loss at {moment} (stream {stream}) comes from {source}: that stretch holds {share} of the harm."


def trace_moment(stream: str, first: str, last: str) -> str:
    return f"stream {stream}, positions {first} to {last}"


def gap(explains: bool, share: str, interval: str, n: str) -> str:
    if explains:
        return (
            f"Among states of equal age, how far a state lies from training explains {share} ({interval}, n = {n}) "
            f"of how the "
            "excess differs between moments, on streams it was not fitted on."
        )
    return (
        f"Among states of equal age, the gap to training does not explain how the excess differs between moments: "
        f"{share} "
        f"({interval}, n = {n}) of its variance on streams it was not fitted on."
    )


def forecast(age: str, seen: str, expected: str, linear: str) -> str:
    return (
        f"Going by ages up to {seen}, the excess at age {age} would be about {expected}. If every doubling went on "
        f"adding what "
        f"the last one did, it would be {linear}; a guess, not a measurement."
    )


def forecast_check(age: str, seen: str, said: str, was: str) -> str:
    return (
        f"The same rule, tried on what was measured: from ages up to {seen} it would have said {said} for age {age}; "
        f"measured there: {was}."
    )


def described(name: str, points: str) -> str:
    return f"{name}: {points}."


GLOSSARY_ENTRIES = (
    *labels.GLOSSARY_ENTRIES[:8],
    (
        "Length generalisation",
        "The loss goes on improving past the training context, where the data have something to use.",
    ),
    ("Unexplored state", "A state that no training window starts from or passes through."),
    ("Distribution of states", "Where states lie, and how often."),
    ("Stale context", "What was read before the world changed and now misleads."),
    ("Effective remembrance", "How much a prediction changes when old inputs are left out."),
    ("Behaviour", "How a fixed set of short continuations is predicted from a state."),
    ("Swap", "Putting one part's value from a young state into an old one, or the other way round."),
)
