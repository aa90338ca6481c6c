"""How a plan is told: one page that says what to do, what it costs, what it buys, and what would change that."""

from __future__ import annotations

import shlex

from outlast.reporting import verdict_reasons
from outlast.reporting.commands import Step, command, context, older_ages
from outlast.reporting.drawing import age_figures as ages
from outlast.reporting.drawing.age_figures import Curve
from outlast.reporting.elements import Bullets, Section
from outlast.reporting.elements import Facts as Rows
from outlast.reporting.facts import Facts, flat
from outlast.reporting.kinds import evaluation
from outlast.reporting.kinds.first_steps import better_first, mend, reset_code, without_training
from outlast.reporting.kinds.plan import page
from outlast.reporting.kinds.plan import sentences as say
from outlast.reporting.kinds.plan.sentences import words
from outlast.reporting.kinds.telling import Telling
from outlast.reporting.text_table import aligned, wrapped
from outlast.reporting.words import terms
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import tell
from outlast.reporting.words.numbers import duration, integer, number
from outlast.results import Plan, Remedy

_TONES = {"leave_it": "good", "tune": "warn", "reset": "warn", "repair": "warn", "beyond_starts": "open", "mend": "bad"}


def _figures(plan: Plan) -> list[tuple[str, str]]:
    found = evaluation.figures(plan.base)[:3]
    each, cost, worth, picked = plan.expected, plan.cost, plan.worth, plan.picked
    if plan.advice == "tune" and picked is not None and plan.tuning is not None:
        found += [
            (words.FIGURE_TUNED, say.loss(plan, -picked.difference[0])),
            (words.FIGURE_COST, duration(plan.tuning)),
        ]
    elif each is not None and cost is not None:
        gain = plan.rival.loss - each.loss
        found += [(words.FIGURE_GAIN, say.loss(plan, gain)), (words.FIGURE_COST, duration(cost.seconds))]
    if worth is not None:
        found.append((words.FIGURE_DAY, page.day(worth.day)))
    return [*found, (words.FIGURE_SPENT, duration(plan.spent))]


def _sections(plan: Plan, key: str) -> list[Section]:
    curve = [Curve(labels.BASE, plan.base)]
    lost = [Bullets([say.diverged(note) for note in plan.notes])] if plan.notes else []
    runs = [Bullets([say.run(each) for each in plan.runs])] if plan.runs else []
    return [
        Section(words.TRIED, [page.tried(plan), *lost] if plan.pilots else []),
        Section(words.BUYS, page.buys(plan, key)),
        Section(words.MONEY, [Rows(found)] if (found := page.money(plan)) else []),
        Section(words.CHANGES, [Bullets([say.change(plan, each) for each in plan.changes])] if plan.changes else []),
        Section(labels.AGE_CURVE, [ages.loss_curve(curve, key), ages.loss_numbers(curve)]),
        Section(words.RUNS, [*runs, *([page.rounds(plan)] if plan.pilots else [])]),
        *evaluation.odd(plan.base),
    ]


def _terminal(plan: Plan) -> list[str]:
    if not plan.pilots:
        return evaluation.terminal(plan.base)
    head = words.COLUMNS_TRIED
    rows = [[cell.text for cell in row.cells] for row in page.tried(plan).rows]
    told = [aligned(list(head), rows), wrapped(hints.OUTLOOK_INTERVAL)]
    told += [wrapped(say.diverged(note)) for note in plan.notes]
    if found := page.money(plan):
        told.append("\n".join(wrapped(f"{name}: {value}") for name, value in found))
    if plan.changes:
        told.append("\n".join(wrapped(say.change(plan, each)) for each in plan.changes))
    return told


def _next_steps(plan: Plan) -> list[Step]:
    given = plan.base.command
    match plan.advice:
        case "mend":
            return mend(plan.base)
        case "tune":
            return [_tune(plan), *_training(plan)]
        case "reset":
            text = tell("Reset it; nothing has to be trained:", "リセットします。学習は要りません：")
            return [Step(text, reset_code("periodic_reset", say.period(plan.rival)))]
        case "repair":
            assert plan.remedy is not None
            text = tell(
                "Make the repair; it is judged on test streams, and refused if it does not keep what is promised here:",
                "修復します。テスト系列で判定され、ここでの見込みが守られなければ不採用になります：",
            )
            options = [*_asked(plan, plan.remedy), *(["--anyway"] if _fine(plan) else [])]
            return [Step(text, command("repair", given, context(plan.base), *options))]
        case "beyond_starts":
            return _beyond(plan)
    verdict = plan.base.verdict
    if verdict_reasons.first_of_all(plan.base):
        return better_first(plan.base)
    if plan.reason == "undecided" and verdict is not None:
        return [evaluation.decide(plan.base, verdict, "plan")]
    text = tell(
        "Nothing has to be done. If it will run for longer than that without a reset, measure older states:",
        "何もする必要はありません。リセットせずにそれより長く動かすなら、もっと古い状態を測ります：",
    )
    longer = context(plan.base, ages=older_ages(plan.base))
    return [Step(text, command("evaluate", given, longer, data="LONGER_DATA"))]


def _asked(plan: Plan, remedy: Remedy) -> list[str]:
    """Options of the repair that is advised."""
    told = [f"--intervention {shlex.quote(remedy.typed)}", f"--steps {remedy.steps}"]
    usual = plan.settings["training"]
    told += [f"--read-ahead {remedy.read_ahead}"] if remedy.read_ahead else []
    told += [f"--learning-rate {remedy.learning_rate:g}"] if remedy.learning_rate != 1e-3 else []
    told += [f"--batch-size {usual['batch_size']}"] if usual["batch_size"] != 32 else []
    told += [f"--seed {usual['seed']}"] if usual["seed"] else []
    return told


def _fine(plan: Plan) -> bool:
    """Whether a repair would end before its training, unless it is told to go on."""
    verdict = plan.base.verdict
    return verdict is not None and verdict.sound


def _tune(plan: Plan) -> Step:
    took = duration(plan.tuning or 0.0)
    text = tell(
        f"Tune it, which takes some {took} and no training. The remedy is chosen on validation streams, judged on test "
        "streams, and saved with the model:",
        f"調整します。学習は要らず、{took}ほどで済みます。対処は検証系列で選び、テスト系列で判定し、モデルとともに"
        "保存します：",
    )
    return Step(text, command("tune", plan.base.command, context(plan.base)))


def _training(plan: Plan) -> list[Step]:
    """The training that was looked out for: where it is advised, and what it is expected to add to a tuned model."""
    given, asked, each, cost = plan.base.command, plan.remedy, plan.expected, plan.cost
    if asked is None or each is None:
        return []
    only = ""
    if plan.advice == "tune" and cost is not None:
        more = terms.with_unit(number(plan.rival.loss - each.loss, 2), terms.unit(plan.base))
        took = duration(cost.seconds)
        only = tell(
            f", if {more} less is worth some {took} more", f"（さらに {more} の改善に{took}をかける価値があるなら）"
        )
    if asked.kind == "starts":
        text = tell(
            f"Train it on with the starts that did best{only}:", f"最も良かった初期状態で学習を続けます{only}："
        )
        options = [*_asked(plan, asked), *(["--anyway"] if _fine(plan) else [])]
        return [Step(text, command("repair", given, context(plan.base), *options))]
    window = integer(asked.train_context)
    text = tell(
        f"Train it on in the plain way, on windows of {window} positions{only}:",
        f"{window} 位置の窓で、通常の方法で学習を続けます{only}：",
    )
    options = [
        f"--train-context {asked.train_context}",
        f"--steps {asked.steps}",
        f"--batch-size {asked.batch_size}",
        f"--learning-rate {asked.learning_rate:g}",
    ]
    return [Step(text, command("train", given, *options))]


def _beyond(plan: Plan) -> list[Step]:
    why = tell(
        "Ask what else may be missing: a diagnosis says whether it is the memory, the arithmetic, an attention window "
        "or the data. A larger state or another architecture cannot be tried here.",
        "他に何が足りないかを調べます。記憶か、計算の精度か、注意の窓か、データかを診断で確かめられます。"
        "状態を大きくしたり構造を変えたりすることは、ここでは試せません。",
    )
    diagnosed = Step(why, command("diagnose", plan.base.command, context(plan.base)))
    return [*_training(plan), diagnosed, *([_tune(plan)] if plan.picked else without_training(plan.base))]


def _facts(plan: Plan) -> Facts:
    return [
        *evaluation.facts(plan.base),
        *flat(labels.FACT_TRAINING, plan.settings["training"]),
        *flat(labels.REPAIR, plan.settings["repairing"]),
    ]


TELLING = Telling(
    record=Plan,
    name=lambda: labels.PLAN,
    model=lambda plan: plan.base.model,
    badge=lambda plan: (_TONES[plan.advice], words.BADGES[plan.advice]),
    headline=say.headline,
    lead=say.lead,
    figures=_figures,
    sections=_sections,
    terminal=_terminal,
    next_steps=_next_steps,
    facts=_facts,
)
