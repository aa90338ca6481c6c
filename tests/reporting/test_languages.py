"""Every text has its Japanese, and a Japanese page or summary of any kind holds no English sentence."""

from __future__ import annotations

import ast
import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from outlast import reporting
from outlast.errors import InputError
from outlast.reporting import Language, summary, write_figures, write_report
from outlast.reporting.drawing import figure_files
from outlast.reporting.kinds import TELLINGS
from outlast.reporting.kinds.diagnosis import evidence
from outlast.reporting.kinds.diagnosis.sentences import words
from outlast.reporting.kinds.plan.sentences import words as words_of_plans
from outlast.reporting.kinds.timeline.reasons import words as words_of_timelines
from outlast.reporting.text_table import wrapped
from outlast.reporting.words import glossary
from outlast.reporting.words.labels import hints, labels
from outlast.reporting.words.language import Words, speaking, tell
from outlast.results import Cause
from reporting import example_diagnosis
from reporting import example_results as example
from reporting.cases import CASES, one_a_kind

ROOM = Path(reporting.__file__).parent
JAPANESE = re.compile(r"[\u3000-\u30ff\u3400-\u9fff\uff00-\uffef]")
ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,;:]+[a-z]{2,}){2,}")
"""Three English words in a row: no name of a part, a setting or a measure is that long."""
RECORDS = re.compile(r"<style.*?</style>|<script>.*?</script>|<pre.*?</pre>|<dl class=.facts wide.*?</dl>", re.DOTALL)
"""What has no language, or its own: code, texts of models, and the records of a result under the names that they have
there."""
KINDS = [name for name in CASES if name.isascii()]


def _calls() -> list[tuple[str, ast.Call]]:
    """Every call of `tell` in the room of reports, but for those of pairs that stand elsewhere."""
    found = []
    for path in sorted(set(ROOM.rglob("*.py")) - {ROOM / "words" / "language.py"}):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tell":
                found.append((f"{path.relative_to(ROOM)}:{node.lineno}", node))
    return found


def _written(node: ast.expr) -> str:
    """The words of a text that stand in the code, without what is put into it."""
    return "".join(
        each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )


def test_every_text_stands_beside_its_japanese() -> None:
    """Whatever is said in words in English is said in Japanese, and not with the same letters."""
    calls = _calls()
    assert len(calls) > 150
    for place, call in calls:
        assert len(call.args) == 2, place
        english, japanese = map(_written, call.args)
        if re.search(r"[A-Za-z]{2}", english):
            assert JAPANESE.search(japanese) or japanese == "", f"{place}: {english}"
            assert not JAPANESE.search(english), place


CATALOGUES = {
    "labels": labels,
    "hints": hints,
    "diagnosis": words,
    "plan": words_of_plans,
    "timeline": words_of_timelines,
}


@pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES)
def test_every_label_has_its_japanese(catalogue: Words) -> None:
    found = [list(each.values()) if isinstance(each, dict) else each for each in catalogue.catalogue.values()]
    pairs = [pair for each in found for pair in ([each] if isinstance(each[0], str) else each)]
    assert len(pairs) > 30
    for english, japanese in pairs:
        if english not in ("n", "nats"):
            assert JAPANESE.search(japanese), english
        assert {*re.findall(r"{\w*", english.lower())} == {*re.findall(r"{\w*", japanese)}, english


def test_every_word_that_is_asked_for_stands_in_its_catalogue_and_every_other_is_gone() -> None:
    """No type checker looks into a catalogue."""
    asked: dict[str, set[str]] = {name: set() for name in CATALOGUES}
    for path in [*ROOM.rglob("*.py"), *ROOM.rglob("*.j2"), ROOM.parents[2] / "docs" / "reference.py"]:
        text = path.read_text(encoding="utf-8")
        for holder, name in re.findall(r'\b(labels|words|hints)\.(?:told\(\s*")?([A-Z][A-Z_]+)\b', text):
            asked[path.parent.name if holder == "words" else holder].add(name)
        asked["labels"].update(labels.catalogue.keys() & re.findall('"([A-Z_]+)"', text))  # asked for by `getattr`
    for name, catalogue in CATALOGUES.items():
        assert asked[name] == catalogue.catalogue.keys(), name


def test_every_term_of_every_glossary_has_its_japanese() -> None:
    for telling in TELLINGS.values():
        assert telling.glossary
        for entry in telling.glossary:
            assert JAPANESE.search(entry.term_ja), entry.term
            assert JAPANESE.search(entry.meaning_ja), entry.term


@pytest.mark.parametrize("name", [one_a_kind(name) for name in KINDS])
def test_no_english_is_left_in_a_japanese_page(name: str, tmp_path: Path) -> None:
    page = write_report(CASES[name], tmp_path / "report.html", language="ja").read_text(encoding="utf-8")
    assert '<html lang="ja">' in page
    text = html.unescape(re.sub(r"<[^>]+>", "\n", RECORDS.sub("", page)))
    assert JAPANESE.search(text)
    assert ENGLISH.findall(text) == []


@pytest.mark.parametrize("name", KINDS)
def test_no_english_is_left_in_a_japanese_summary(name: str) -> None:
    for result in CASES[name]:
        lines = summary(result, "ja").splitlines()
        typed = (labels_ja("NEXT_SHORT"), "outlast ", "model = outlast.")
        shown = [line for line in lines if not line.strip().startswith(typed)]
        assert ENGLISH.findall("\n".join(shown)) == []
        assert max(map(cell_len, shown)) <= 100, max(shown, key=cell_len)


def labels_ja(name: str) -> str:
    with speaking("ja"):
        return getattr(labels, name)


def test_the_language_ends_with_the_page(tmp_path: Path) -> None:
    write_report([example.evaluation()], tmp_path / "report.html", language="ja")
    assert labels.BASE == "base"
    assert summary(example.evaluation()).startswith("FAILS:")


def test_another_language_is_an_error(tmp_path: Path) -> None:
    other: Language = "fr"  # pyright: ignore[reportAssignmentType]
    with pytest.raises(InputError, match="language='fr'"):
        write_report([example.evaluation()], tmp_path / "report.html", language=other)
    with pytest.raises(InputError, match="language 'fr'"):
        summary(example.evaluation(), other)
    assert not (tmp_path / "report.html").exists()


def test_numbers_stand_apart_from_japanese_words_and_brackets_do_not() -> None:
    with speaking("ja"):
        assert tell("", "年齢 64で 0.2 nat（区間 0.1）です") == "年齢 64 で 0.2 nat（区間 0.1）です"
        assert tell("", "差は（0.1） です") == "差は（0.1）です"


@pytest.mark.parametrize("cause", labels.CAUSE_NAMES)
def test_the_cause_is_told_in_both_languages(cause: str, tmp_path: Path) -> None:
    result = example_diagnosis.diagnosis(cause)
    assert result.main is not None
    for tongue in ("en", "ja"):
        page = write_report([result], tmp_path / "report.html", language=tongue).read_text(encoding="utf-8")
        with speaking(tongue):
            assert labels.CAUSE_SENTENCES[cause] in page
            assert evidence.plain(result.main) in html.unescape(page)
        assert evidence_in_terminal(result.main, tongue) in "".join(summary(result, tongue).split())


def evidence_in_terminal(cause: Cause, tongue: Language) -> str:
    with speaking(tongue):
        return "".join(evidence.plain(cause).split())


@pytest.mark.parametrize("tongue", ["en", "ja"])
@pytest.mark.parametrize("found", [True, False, None])
def test_the_evidence_of_every_answer_is_one_plain_sentence(tongue: Language, found: bool | None) -> None:
    """Without an interval, an n or a number that says nothing; these are in the numbers behind it."""
    stop = {"en": ".", "ja": "。"}[tongue]
    with speaking(tongue):
        for cause in example_diagnosis.diagnosis().causes:
            asked = replace(cause, found=found, because=[], facts=cause.facts if found is not None else {"why": "…"})
            said = evidence.plain(asked)
            assert said.endswith(stop)
            assert not re.search(r"n\s?=|0\.\d{3}|[+−]\d", said)
            if found is not None:
                assert evidence.numbers(asked, "nats")
                assert all(each.endswith(stop) for each in evidence.numbers(asked, "nats"))


def test_a_context_of_next_to_nothing_says_what_it_means() -> None:
    cause = next(each for each in example_diagnosis.diagnosis("train_context").causes if each.name == "train_context")
    for turns, told in ((1, "it makes no use of the past"), (2, "little more than the last position")):
        assert told in evidence.plain(replace(cause, facts={**cause.facts, "turns": turns}))
    assert "about 16" in evidence.plain(cause)


def test_figures_in_japanese_ask_for_a_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figure_files, "JAPANESE", None)
    with pytest.raises(InputError, match="fonts-noto-cjk"):
        write_figures(example.evaluation(), tmp_path / "figures", language="ja")
    assert not (tmp_path / "figures").exists()


def test_japanese_lines_break_between_signs_and_not_before_a_full_stop() -> None:
    lines = wrapped("あいうえおかきくけこ。さしすせそ（たち）つ", 20).splitlines()
    assert "".join(lines) == "あいうえおかきくけこ。さしすせそ（たち）つ"
    assert all(cell_len(line) <= 22 for line in lines)
    assert not any(line.startswith(("。", "）")) or line.endswith("（") for line in lines)


def test_what_is_explained_is_explained_in_every_language() -> None:
    for entry in glossary.USUAL:
        with speaking("ja"):
            assert entry.told() == (entry.term_ja, entry.meaning_ja)
        assert entry.told() == (entry.term, entry.meaning)
