"""Fixed words of a report in English: headings, names of things, the glossary. Composed ones are in `sentences`."""

from __future__ import annotations

DIAGNOSIS = "Diagnosis"

CAUSE_NAMES = {
    "numerics": "numerics",
    "attention_window": "attention window",
    "train_context": "another training context",
    "stale_context": "stale context",
    "unexplored_state": "unexplored state",
    "memory_limited": "memory too short",
    "harder_data": "harder data",
}
CAUSE_SENTENCES = {
    "numerics": "the arithmetic is too narrow: the same model in float64 does not lose as much",
    "attention_window": "its attention window, rather than its recurrent part, meets what training never showed it",
    "train_context": "it seems to have been trained on windows of another length than was named",
    "stale_context": "its context is stale: it loses where the world changed, and not where the world stayed as it was",
    "unexplored_state": "its state is unexplored: it wanders to where training never was, and there it loses even "
    "where the "
    "world stayed as it was",
    "memory_limited": "its memory is too short: age does no harm, yet it misses what lies further back",
    "harder_data": "the data get harder along the stream: age does no harm, and young states lose as much there",
}

MEASURES = {
    "cross_entropy": "cross-entropy",
    "error_rate": "error rate",
    "squared_error": "squared error",
    "absolute_error": "absolute error",
    "divergence": "divergence",
}

# A change in one of these is already a share, so a percentage of it would mislead.
SHARES = {"error_rate"}

RIVALS = {
    "base": "the base model",
    "periodic_reset": "the base model under its best periodic reset",
    "overlapping_reset": "the base model under two overlapping resets",
    "control": "the control (equal training from zero states)",
    "control_reset": "the control (equal training from zero states) under its best periodic reset",
}
RESETS = {"periodic_reset": "periodic reset", "overlapping_reset": "overlapping resets"}
GUESSES = {
    "constant": "the best constant answer",
    "persistence": "repeating the newest known value",
    "unread": "its own answer before it has read anything",
}

REFUSALS = {
    "short_context_lost": "short contexts lost",
    "no_benefit": "no benefit",
    "still_fails": "still fails",
    "stopped_reading": "stopped reading",
    "reset_it_instead": "better when it is reset",
    "plain_training_suffices": "plain training suffices",
    "broken": "broken",
    "nothing_to_repair": "nothing to repair",
    "base_broken": "the base is broken",
}
REFUSALS_BRIEF = {
    "short_context_lost": "short lost",
    "no_benefit": "no benefit",
    "still_fails": "still fails",
    "stopped_reading": "not reading",
    "reset_it_instead": "reset it",
    "plain_training_suffices": "plain does",
    "broken": "broken",
    "nothing_to_repair": "not needed",
    "base_broken": "base broken",
}
FAULTS = {
    "broken": "some of its predictions are not finite numbers, or all of them are the same",
    "short_context_lost": "short contexts got worse",
    "no_benefit": "it is not clearly better than the base model used at its best",
    "still_fails": "it is itself too far above its own best within the training context",
    "stopped_reading": "it does not clearly do better than something that does not read",
    "reset_it_instead": "it is better when it is reset",
    "plain_training_suffices": "plain training does as well",
}

BADGES = {
    "broken": "Broken",
    "fails": "Fails",
    "declines": "Declines",
    "generalises": "Generalises",
    "robust": "Robust",
    "undecided": "Undecided",
    "none": "No verdict",
    "accepted": "Repair accepted",
    "refused": "Repair refused",
    "no_winner": "No repair accepted",
    "nothing_to_repair": "Nothing to repair",
    "kept": "Contract kept",
    "contract_broken": "Contract broken",
    "trained": "Trained",
}

# What each point of the contract asks, and what it costs when it does not hold.
CHECKS = {
    "chunked_equals_whole": (
        "Reading in pieces equals reading at once",
        "carrying the state gives other outputs than reading the whole stream, so no measurement could be trusted",
    ),
    "step_equals_parallel": (
        "One step at a time equals the parallel form",
        "the model deployed step by step is another model than the one that was trained",
    ),
    "gradient_through_state": (
        "Gradients flow through the state",
        "training cannot reach what the state does, and repairs that rely on it will be weak",
    ),
    "rows_independent": (
        "Rows of a batch do not touch each other",
        "a stream's predictions depend on which other streams are read beside it",
    ),
    "state_matters": (
        "The carried state changes the outputs",
        "the state is dropped somewhere, so there is nothing to carry or to repair",
    ),
    "nothing_edited_in_place": (
        "Nothing is edited in place",
        "a state that is kept for later changes behind its owner's back",
    ),
    "save_load_exact": (
        "Saving and loading is exact",
        "the model that is loaded is not the model that was measured",
    ),
}

EXCESS_CURVE = "Excess by age of the state"
CHANGE_CURVE = "What the repair changed at each age"
CHANGES_CURVE = "What each repair changed at each age"
AGE_CURVE = "Loss by age of the state"
POSITION_CURVE = "Loss by position in the stream"
RECOVERY = "How soon it recovers where another stream begins"
DOSES = "Which dose was taken"
ALL_DOSES = "Every dose of every repair"
STATE = "Size and spread of the state"
INTERVENTIONS = "Interventions compared"
ONE_REPAIR = "What the repair changed"
REFUSED_WHY = "Why it is refused"
UNTOUCHED_WHY = "Why nothing was done"
UNTRAINED = "What needs no training"
SIMPLER = "Against what is simpler"
GUARDS = "Other data that had to hold"
OTHER_MEASURES = "Other measures"
CONTRACT = "The points of the contract"
TRAINING_LOSS = "Training loss"
NEXT = "What to do next"
METHOD = "How it was measured"
GLOSSARY = "Words used here"
BECAUSE = "Why this verdict"
NOTES = "What is odd"
BROKEN = "This model is broken, whatever the age of its state: {}."
CONTENTS = "Results in this report"
SKIP = "Skip to the result"
NUMBERS = "The numbers behind this figure"
DEFAULT_TITLE = "Results past the training context"

BASE = "base"
CONTROL = "control (zero states)"
OF_BASE, OF_CONTROL, OF_REPAIR = "base, {}", "control, {}", "repaired model, {}"
THE_MODEL, THE_REPAIR = "the model", "the repaired model"
REFUSED_NAME = "{} (refused)"
AGE_AXIS = "age of the state (positions read since the initial state)"
AGE_AXIS_NARROW = "age of the state"
POSITION_AXIS = "position in the stream (from the zero state)"
POSITION_AXIS_NARROW = "position in the stream"
RECOVERY_AXIS = "position in the new stream"
DOSE_AXIS = "change of short contexts"
STEP_AXIS = "training step"
LOSS = "loss"
EXCESS_OF = "excess of {}"
CHANGE_OF = "change of {}"
COST_OF = "old state minus fresh state, {}"
OLDEST_OF = "{} at the oldest age"
NORM = "size (root mean square)"
SPREAD = "spread (standard deviation)"
TRAIN_CONTEXT = "training context"
TOLERANCE, TWO_TOLERANCES = "tolerance", "two tolerances"
ALLOWED_MEAN, ALLOWED_BAND = "allowed, mean of short contexts", "allowed, one band of ages"
ALLOWED = "allowed"
TAKEN = "taken"
TAKEN_DOSE, KEPT_DOSE, LOST_DOSE = "the dose that was taken", "within the margin", "past the margin"

GLOSSARY_ENTRIES = (
    ("Training context", "How many positions a training window had. The model never saw an older state in training."),
    ("State", "What the model carries from one position to the next."),
    ("Age of a state", "How many positions were read since the state was the initial one."),
    (
        "Short",
        "The loss within the training context: the best band of ages there, chosen on half of the streams and scored "
        "on the other half.",
    ),
    ("Excess", "The loss at an age minus short, on the same targets, paired by stream."),
    (
        "Interval",
        "The range, over streams, that holds the true value with 95 % confidence, for all rows of a curve together.",
    ),
    (
        "Block",
        "Neighbouring segments of one recording, which resemble each other: taken together they are one unit of an "
        "interval.",
    ),
    ("Tolerance", "How large an excess still counts as none."),
    ("Periodic reset", "The state is set back to the initial one every so many positions. It needs no training."),
    (
        "Overlapping resets",
        "Two copies of the model, reset in turn, so that the one that answers has always read something. It needs no "
        "training and costs twice as much.",
    ),
    ("Repair", "Post-training with other starting states. The architecture stays as it is."),
    (
        "Control",
        "The same rows, windows and steps as the repair, always from the zero state. What the repair gains over it, "
        "its starts have gained; what both gain, the training has.",
    ),
    ("Dose", "How far from the base to the repaired model the weights go: 0 is the base, 1 the whole way."),
    ("Intervention", "The rule for where training windows start."),
    (
        "Carry",
        "The intervention in which a training window goes on with its own stream, or starts a new stream on the old "
        "state. The expected run says how long a stream goes on, on average.",
    ),
)
CHECK_ENTRIES = (
    ("State", "What the model carries from one position to the next."),
    ("Contract", "What a recurrent model must do for its figures to mean something."),
    ("Worst", "The largest difference that was found, as a share of the size of the values compared."),
)

WINNER, PICKED = "winner", "picked"
VALIDATION = "What validation said"
HELD, LOST = "held", "lost"
PASSED, FAILED, NOT_ASKED = "holds", "fails", "not asked"
YES, NO = "yes", "no"
ACCEPTED, REFUSED = "accepted", "refused"
FOOTER = "Written by outlast. This file needs no network."
NEXT_SHORT = "Next"
WITHOUT_TRAINING = "without training"

FOUND, NOT_FOUND = "found", "not found"

COLUMN_AGE, COLUMN_POSITION, COLUMN_COUNT = "age", "position", "n"
COLUMN_EXCESS, COLUMN_INTERVAL, COLUMN_MEASURE, COLUMN_VALUE = "excess", "interval", "measure", "value"
COLUMN_INTERVENTION, COLUMN_OUTCOME, COLUMN_DOSE = "intervention", "outcome", "dose"
COLUMN_SHORT, COLUMN_SHORT_BRIEF = "short contexts", "short"
COLUMN_OLDEST, COLUMN_OLDEST_LOSS = "oldest age", "loss at oldest age"
COLUMN_BASE, COLUMN_RESET, COLUMN_OVERLAP = (
    "against base",
    "against periodic reset",
    "against overlapping resets",
)
COLUMN_STARTS, COLUMN_CONTROL_RESET = "what the starts gained", "against the control, reset"
COLUMN_STARTS_BRIEF = "starts gained"
COLUMN_BENEFIT = "against best rival (interval)"
COLUMN_OLD, COLUMN_FRESH, COLUMN_COST = "from an old state", "read afresh", "difference"
COLUMN_SIMPLER, COLUMN_PAIRED, COLUMN_SO = "what is simpler", "the model minus it", "so the model is"
BETTER, WORSE, ALIKE = "better", "worse", "not told apart"
COLUMN_KEPT = "within the margin"
COLUMNS_GUARD = ("data", "change", "allowed", "worst band", "outcome")
COLUMNS_CHECK = ("point", "result", "worst", "detail")
FACT_TOLERANCE, FACT_SHORT, FACT_TIME, FACT_PICKED = "tolerance", "short", "time", "picked"
FACT_UNITS = "units of intervals"
FACT_SHORT_AGES = "short contexts · ages"
FACT_WORST = "short contexts · worst band"
FACT_BY_BANDS = "short contexts · every band alike"
FACT_DOSE = "repair · dose"
FACT_MODEL, FACT_DATA, FACT_SETTING, FACT_INTERVENTION, FACT_TRAINING = (
    "model",
    "data",
    "setting",
    "intervention",
    "repair",
)
