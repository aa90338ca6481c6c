"""How an evaluation is told."""

from __future__ import annotations

from collections.abc import Sequence

from outlast.durations import written
from outlast.reporting import tables, verdict_reasons
from outlast.reporting.commands import Step, command, context, older_ages, same_ages
from outlast.reporting.drawing import age_figures as ages
from outlast.reporting.drawing import curves as draw
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.elements import Bullets, Section
from outlast.reporting.facts import Facts, about_model, flat, taken
from outlast.reporting.kinds.first_steps import better_first, mend, read_rightly, without_training
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.losses import units
from outlast.reporting.losses.perplexity import perplexity
from outlast.reporting.losses.recovery import recovery_elements
from outlast.reporting.losses.scenarios import scenarios, terminal_table
from outlast.reporting.losses.slices import slices
from outlast.reporting.pairing import excesses
from outlast.reporting.text_table import aligned, wrapped
from outlast.reporting.verdict_reasons import bound, first_of_all, knob, reasons
from outlast.reporting.words import captions, terms
from outlast.reporting.words.labels import labels
from outlast.reporting.words.language import sentences, tell
from outlast.reporting.words.numbers import duration, estimate, estimates, integer, span
from outlast.reporting.words.terms import level, measure_name, oldest_age, unit
from outlast.results import Evaluation, Note, Refusal, Verdict

TONES = {
    "misread": "bad",
    "broken": "bad",
    "fails": "bad",
    "declines": "warn",
    "robust": "good",
    "generalises": "good",
    "undecided": "open",
}
"""The tone of a verdict on a model that stands for itself; a refused repair never wears it."""


def badge(evaluation: Evaluation) -> tuple[str, str]:
    """Tone and word of the verdict."""
    verdict = evaluation.verdict
    if verdict is None:
        return "plain", labels.BADGES["none"]
    tone = TONES.get(verdict.name, "open")
    if tone == "good" and first_of_all(evaluation):
        tone = "warn"
    return tone, labels.BADGES.get(verdict.name, verdict.name)


def headline(evaluation: Evaluation) -> str:
    verdict = evaluation.verdict
    if few := verdict_reasons.too_few(evaluation):
        return verdict_reasons.without_verdict(few)
    if verdict is None:
        ages = span(*evaluation.oldest.age)
        return tell(
            "There is no verdict, because the data has no targets to judge by: only how far the outputs move apart "
            f"with the age of the state was measured, up to age {ages}.",
            "データに判定のための目標がないため、判定はありません。状態の年齢とともに出力がどれだけ離れるかだけを、"
            f"年齢 {ages} まで測りました。",
        )
    match verdict.name:
        case "misread":
            return verdict_reasons.misread(evaluation)
        case "broken":
            return verdict_reasons.broken(evaluation, verdict.because[0])
    return sentences(judged(evaluation, verdict), verdict_reasons.unfitting(evaluation))


def judged(evaluation: Evaluation, verdict: Verdict) -> str:
    """The headline of a verdict about age, without what makes its scaling doubtful."""
    return sentences(first_of_all(evaluation), _by_age(evaluation, verdict))


def _by_age(evaluation: Evaluation, verdict: Verdict) -> str:
    match verdict.name:
        case "fails":
            return _fails(evaluation, verdict)
        case "declines":
            return _declines(evaluation, verdict)
        case "generalises":
            return _generalises(evaluation)
        case "robust":
            return _robust(evaluation, verdict)
    return _undecided(evaluation, verdict)


def _past(evaluation: Evaluation) -> str:
    context = terms.positions(integer(evaluation.train_context))
    return tell(f"past its training context of {context}", f"学習文脈長（{context}）を超え")


def _fails(evaluation: Evaluation, verdict: Verdict) -> str:
    measure, where, past = measure_name(evaluation.measure), oldest_age(evaluation.oldest), _past(evaluation)
    excess, own = estimate(verdict.excess, verdict.low, verdict.high), unit(evaluation)
    worse = tell(
        f"{terms.with_unit(excess.value, own)} worse (interval {excess.interval}) than it is within the training "
        "context",
        f"学習文脈長以内より {terms.with_interval(excess, own)} 悪化します",
    )
    start = verdict.oldest_age[0] if verdict.from_age is None else verdict.from_age
    if start >= verdict.oldest_age[0]:
        return tell(
            f"This model fails {past}: {where}, its {measure} is {worse}.",
            f"このモデルは{past}ると破綻します。{where}の{measure}が、{worse}。",
        )
    return tell(
        f"This model fails {past}: it gets worse from age {integer(start)} on, and {where} its {measure} is {worse}.",
        f"このモデルは{past}ると破綻します。年齢 {integer(start)} から悪くなり、{where}の{measure}は、{worse}。",
    )


def _declines(evaluation: Evaluation, verdict: Verdict) -> str:
    best = verdict.best_age or verdict.oldest_age
    there = next((terms.loss(band).value for band in evaluation.age_curve if band.age == best), "")
    now, where = level(evaluation.oldest, unit(evaluation)), oldest_age(evaluation.oldest)
    measure = measure_name(evaluation.measure)
    return tell(
        f"This model is best at {terms.ages(best)}, {_past(evaluation)}, and worse at the oldest: {where}, its "
        f"{measure} is {now}{f', against {there} there' if there else ''}.",
        f"このモデルは{_past(evaluation)}て{terms.ages(best)} で最も良くなりますが、その後は衰えます。"
        f"{where}の{measure}は {now} です{f'（最も良い年齢では {there}）' if there else ''}。",
    )


def _generalises(evaluation: Evaluation) -> str:
    past = [band for band in evaluation.age_curve if band.age[0] >= evaluation.train_context]
    now, just = level(evaluation.oldest, unit(evaluation)), terms.loss(past[0]).value
    where, measure = oldest_age(evaluation.oldest), measure_name(evaluation.measure)
    return tell(
        f"This model keeps improving {_past(evaluation)}: {where}, its {measure} is {now}, against {just} just past "
        "the training context.",
        f"このモデルは{_past(evaluation)}ても良くなり続けます（長さ一般化）。{where}の{measure}は {now} で、"
        f"学習文脈長のすぐ先では {just} です。",
    )


def _differs(evaluation: Evaluation, verdict: Verdict) -> str:
    excess = estimate(verdict.excess, verdict.low, verdict.high, signed=True)
    each = terms.with_interval(excess, unit(evaluation))
    where, measure = oldest_age(evaluation.oldest), measure_name(evaluation.measure)
    return tell(
        f"{where}, its {measure} differs by {each} from what it is within the training context",
        f"{where}の{measure}の、学習文脈長以内との差は {each} で",
    )


def _robust(evaluation: Evaluation, verdict: Verdict) -> str:
    tolerance = terms.tolerated(verdict.tolerance, evaluation)
    if first_of_all(evaluation):
        return tell(
            f"Age changes nothing about that {_past(evaluation)}: {_differs(evaluation, verdict)}, inside the "
            f"tolerance of {tolerance}.",
            f"{_past(evaluation)}ても、それは年齢によって変わりません。{_differs(evaluation, verdict)}、"
            f"許容（{tolerance}）以内です。",
        )
    return tell(
        f"This model holds {_past(evaluation)}: {_differs(evaluation, verdict)}, inside the tolerance of {tolerance}.",
        f"このモデルは{_past(evaluation)}ても保たれます。{_differs(evaluation, verdict)}、"
        f"許容（{tolerance}）以内です。",
    )


def _undecided(evaluation: Evaluation, verdict: Verdict) -> str:
    tolerance = terms.tolerated(verdict.tolerance, evaluation)
    return sentences(
        tell(
            f"The measurement does not decide whether this model holds {_past(evaluation)}: "
            f"{_differs(evaluation, verdict)}, and the tolerance is {tolerance}.",
            f"このモデルが{_past(evaluation)}ても保たれるかどうかは、この測定では決まりません。"
            f"{_differs(evaluation, verdict)}、許容は {tolerance} です。",
        ),
        bound(evaluation, verdict),
    )


def figures(evaluation: Evaluation) -> list[tuple[str, str]]:
    measure, own = measure_name(evaluation.measure), unit(evaluation)
    return [
        (labels.FIGURE_CONTEXT, terms.positions(integer(evaluation.train_context))),
        (labels.FIGURE_OLDEST, terms.positions(span(*evaluation.oldest.age))),
        (labels.FIGURE_TESTED, terms.over(evaluation)),
        (labels.FIGURE_MEASURE, tell(f"{measure}, in {own}", f"{measure}（{own}）") if own else measure),
        *units.figures(evaluation),
    ]


def sections(evaluation: Evaluation, key: str) -> list[Section]:
    curves = [Curve(labels.BASE, evaluation)]
    if evaluation.short is None:
        first = Section(labels.AGE_CURVE, [ages.loss_curve(curves, key), ages.loss_numbers(curves)])
    else:
        first = Section(labels.EXCESS_CURVE, [ages.excess_curve(curves, key), ages.excess_numbers(curves)])
    return [
        first,
        *_because(evaluation),
        *odd(evaluation, told=_told_above(evaluation)),
        *tables.untrained(evaluation),
        Section(labels.RECOVERY, recovery_elements(curves, key)),
        *by_position(curves, key),
        *scenarios(curves, key),
        *slices(curves, key),
        *tables.other_measures(evaluation),
    ]


def _told_above(evaluation: Evaluation) -> list[str]:
    """Notes that headline and reasons have, as the result says them."""
    few = verdict_reasons.too_few(evaluation)
    return [*([few.said] if few else []), *(evaluation.verdict.because if evaluation.verdict else [])]


def _because(evaluation: Evaluation) -> list[Section]:
    said = reasons(evaluation)
    return [Section(labels.BECAUSE, [Bullets(said)])] if said else []


def odd(evaluation: Evaluation, told: Sequence[str] = ()) -> list[Section]:
    """What was odd, where what is told elsewhere does not say it already.

    Args:
        told: notes that are, as the result says them.
    """
    return noted([note for note in evaluation.notes if note.said not in told])


def noted(notes: Sequence[Note]) -> list[Section]:
    """Notes as a section of a page."""
    return [Section(labels.NOTES, [Bullets(list(map(verdict_reasons.told, notes)))] if notes else [])]


def by_position(curves: Sequence[Curve], key: str) -> list[Section]:
    sections = perplexity(curves, key)
    if curves[0].evaluation.position_curve:
        sections.append(Section(labels.POSITION_CURVE, draw.position_curve(curves, key)))
    if curves[0].evaluation.state:
        sections.append(Section(labels.STATE, [draw.state_figure(curves, key)]))
    return sections


def terminal(evaluation: Evaluation) -> list[str]:
    excess = evaluation.short is not None
    measure = terms.measure_name(evaluation.measure)
    head = [labels.COLUMN_AGE, terms.in_unit(measure, terms.unit(evaluation)), labels.COLUMN_INTERVAL]
    head += [labels.COLUMN_EXCESS, labels.COLUMN_INTERVAL] if excess else []
    over = estimates(list(excesses(evaluation).values()), signed=True)
    rows = [
        [span(*band.age), *terms.loss(band), *(more if excess else ()), integer(band.n)]
        for band, more in zip(evaluation.age_curve, over, strict=True)
    ]
    parts = [aligned([*head, labels.COLUMN_COUNT], rows)]
    named: list[tuple[str, terms.Measured]] = [
        (terms.reset(name, each.every), each) for name, each in evaluation.resets.items()
    ]
    named += [(terms.guess(name), guess) for name, guess in evaluation.guesses.items()]
    untrained = [[name, *terms.loss(each)] for name, each in named]
    if untrained:
        parts.append(aligned([labels.WITHOUT_TRAINING, measure, labels.COLUMN_INTERVAL], untrained))
    parts += map(wrapped, [note] if (note := captions.halves_note(evaluation)) else [])
    parts += [wrapped(line) for _, line in units.lines(evaluation)]
    parts += terminal_table(evaluation)
    parts += terminal_notes([note for note in evaluation.notes if note is not verdict_reasons.too_few(evaluation)])
    if note := captions.summary_units(evaluation):
        parts.append(wrapped(note))
    return parts


def terminal_notes(notes: Sequence[Note]) -> list[str]:
    """What was odd, for the terminal."""
    found = [wrapped(verdict_reasons.told(note)) for note in notes]
    return ["\n".join([f"{labels.NOTES}:", *found])] if found else []


def facts(evaluation: Evaluation) -> Facts:
    verdict, own = evaluation.verdict, terms.unit(evaluation)
    found = [
        *taken(evaluation.data),
        *about_model(evaluation.model, evaluation.outlast),
        *flat(labels.FACT_DATA, evaluation.data),
        *flat(labels.FACT_SETTING, evaluation.settings),
    ]
    if blocks := terms.blocks_in(evaluation):
        found.append((labels.FACT_UNITS, captions.units(blocks, evaluation)))
    found += units.lines(evaluation)
    if verdict is not None:
        found.append((labels.FACT_TOLERANCE, terms.tolerated(verdict.tolerance, evaluation)))
    if evaluation.short is not None:
        found.append((labels.FACT_SHORT, captions.short_description(evaluation.short, own)))
    return [*found, (labels.FACT_TIME, duration(evaluation.seconds))]


def next_steps(evaluation: Evaluation) -> list[Step]:
    given, verdict = evaluation.command, evaluation.verdict
    if few := verdict_reasons.too_few(evaluation):
        needed = few.facts.get("needed")
        return [
            Step(
                tell(
                    f"Measure on at least {few.facts['least']} streams; only then can there be a verdict:",
                    f"{few.facts['least']} 系列以上で測ります。判定はそれがあって初めてできます：",
                ),
                _evaluate(evaluation, *([] if needed is None else [f"--budget {written(float(needed))}"])),
            )
        ]
    if verdict is None:
        return [
            Step(
                tell(
                    "Measure on data with targets; only then can there be a verdict:",
                    "目標のあるデータで測ります。判定はそれがあって初めてできます：",
                ),
                _evaluate(evaluation, data="DATA_WITH_TARGETS"),
            )
        ]
    if verdict.name == "misread":
        return [read_rightly("evaluate", evaluation)]
    if verdict.name == "broken":
        return mend(evaluation)
    if (first_of_all(evaluation) or verdict.name in ("fails", "declines")) and (first := better_first(evaluation)):
        return first
    if verdict.name == "fails":
        run = 20 * evaluation.train_context
        return [
            *without_training(evaluation),
            Step(
                tell(
                    "Repair the model. Set the expected run to how many positions one situation lasts in your data; "
                    f"{integer(run)}, twenty training contexts, is a start:",
                    "モデルを修復します。expected run は、データの中で一つの状況が続く位置の数にします。"
                    f"まずは学習文脈長の 20 倍の {integer(run)} を試してください：",
                ),
                command("repair", given, context(evaluation), f"--intervention carry:expected_run={run}"),
            ),
            Step(
                tell(
                    "Or let several interventions compete on equal terms:",
                    "または、いくつかの介入を同じ条件で競わせます：",
                ),
                command("compare", given, context(evaluation)),
            ),
        ]
    if verdict.name == "declines":
        run = 20 * evaluation.train_context
        best = terms.ages(verdict.best_age or verdict.oldest_age)
        return [
            *without_training(evaluation),
            Step(
                tell(
                    f"Or repair the model, so that what it gains up to {best} lasts:",
                    f"または、{best} までに得たものが続くようにモデルを修復します：",
                ),
                command("repair", given, context(evaluation), f"--intervention carry:expected_run={run}"),
            ),
        ]
    if verdict.name == "undecided":
        return [decide(evaluation, verdict), *without_training(evaluation)]
    return [
        Step(
            tell(
                "Nothing needs repair up to the oldest age tested. If the model will run for longer than that without "
                "a reset, test older states, on streams that are long enough:",
                "調べた最も古い年齢まで、修復は要りません。リセットせずにそれより長く動かすなら、十分に長い系列で、"
                "もっと古い状態を調べます：",
            ),
            _evaluate(evaluation, ages=older_ages(evaluation), data="LONGER_DATA"),
        )
    ]


def decide(evaluation: Evaluation, verdict: Verdict, verb: str = "evaluate") -> Step:
    """What would decide an undecided verdict soonest; where these data do, the command is one of `verb`."""
    found = verdict.knob
    if verdict.streams_needed is None:
        text = tell(
            "Measure again on data without what is odd here:",
            "ここに挙げた注意すべき点のないデータで測り直します：",
        )
        return Step(text, _evaluate(evaluation, data="MORE_DATA", ages=same_ages(evaluation)))
    if found is None or found.name == "more":
        needed = terms.streams(verdict.streams_needed, terms.unit_of(evaluation))
        if verdict_reasons.beyond(evaluation, verdict):
            there = integer(evaluation.oldest.n)
            text = sentences(
                tell(
                    f"These data cannot decide it at this age: about {needed} would be needed, and there are {there}.",
                    f"この年齢ではこのデータから決められません。{needed}ほどが要りますが、今は {there} です。",
                ),
                bound(evaluation, verdict),
                tell(
                    "Where that is too much, measure again on many more data:",
                    "それでは大きすぎるなら、はるかに多くのデータで測り直します：",
                ),
            )
            return Step(text, _evaluate(evaluation, data="MORE_DATA", ages=same_ages(evaluation)))
        text = tell(
            f"Measure again on more data; the interval shrinks with their amount, and about {needed} would decide it:",
            f"もっと多くのデータで測り直します。データが増えるほど区間は狭くなり、{needed}ほどあれば決まります：",
        )
        return Step(text, _evaluate(evaluation, data="MORE_DATA", ages=same_ages(evaluation)))
    said = knob(evaluation, verdict)[0]
    ages = f"--up-to {round(found.value)}" if found.name == "up_to" else None
    scored = round(found.value) if found.name == "scored" else None
    how = context(evaluation, ages=ages, scored=scored)
    return Step(tell(f"{said[:-1]}:", f"{said[:-1]}："), command(verb, evaluation.command, how))


def _evaluate(
    evaluation: Evaluation, *options: str, data: str = "", ages: str | None = None, scored: int | None = None
) -> str:
    how = context(evaluation, ages=ages, scored=scored)
    return command("evaluate", evaluation.command, how, *options, data=data)


def untouched(base: Evaluation, because: Refusal | None, verb: str) -> list[Step]:
    """Steps where `verb` measured a model and did nothing."""
    if because is not None and because.name == "base_broken":
        return mend(base)
    if first_of_all(base):
        return better_first(base)
    verdict = base.verdict
    if because is None or because.name != "not_shown_to_fail":
        return _leave_it(base, verb)
    text = tell(
        "A plan tries short trainings and says whether they gain anything:",
        "計画は、短い学習を試し、それで良くなるかどうかを示します：",
    )
    all_the_same = tell("To train it all the same:", "それでも学習するなら：")
    return [
        *([decide(base, verdict, verb)] if verdict and verdict.name == "undecided" else []),
        Step(text, command("plan", base.command, context(base))),
        Step(all_the_same, command(verb, base.command, context(base), "--anyway")),
    ]


def _leave_it(base: Evaluation, verb: str) -> list[Step]:
    verdict = base.verdict
    again = command(verb, base.command, context(base), "--anyway")
    if verdict is not None and verdict.name in ("fails", "declines"):
        return [
            Step(
                tell(
                    f"Validation and test streams do not agree: the model {verdict.name} on the test streams. Give "
                    "validation streams that resemble what the model will meet, or go on all the same:",
                    f"検証系列とテスト系列が一致しません（テスト系列での判定：{labels.BADGES[verdict.name]}）。"
                    "モデルが実際に出会うものに似た検証系列を与えるか、それでも続けるなら：",
                ),
                again,
            ),
            *without_training(base),
        ]
    return [
        Step(
            tell(
                "Leave the model as it is: up to the oldest age tested there is nothing that a repair could win back.",
                "モデルはそのままにします。調べた最も古い年齢まで、修復で取り戻せるものはありません。",
            )
        ),
        Step(
            tell(
                "If it will run for longer than that without a reset, test older states, on streams that are long "
                "enough:",
                "リセットせずにそれより長く動かすなら、十分に長い系列で、もっと古い状態を調べます：",
            ),
            command("evaluate", base.command, context(base, ages=older_ages(base)), data="LONGER_DATA"),
        ),
        Step(
            tell(
                "To go on all the same, for instance to make it better than it is:",
                "それでも続けるなら（たとえば、今より良くするために）：",
            ),
            again,
        ),
    ]


TELLING = Telling(
    record=Evaluation,
    name=lambda: labels.EVALUATION,
    model=lambda evaluation: evaluation.model,
    badge=badge,
    headline=headline,
    figures=figures,
    sections=sections,
    terminal=terminal,
    next_steps=next_steps,
    facts=facts,
    lead=verdict_reasons.doubt,
    measured_on=captions.shorter,
)
