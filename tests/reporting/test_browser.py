"""Reports in a real browser: layout, keyboard, contrast, names of figures, no message and no request."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from reporting import example_results as example
from reporting.cases import CASES, NASTY, Pages, one_a_kind

READ = ["時計", "repair", "経過", "mix", *(pytest.param(name, marks=pytest.mark.long) for name in ("clock", "文章"))]
"""A diagnosis, a repair, a timeline, and a page of an evaluation, repairs, checks and a training; in the long tests a
diagnosis in English too, a repair of texts, and a timeline of a long run."""
READ.append(pytest.param("timeline, a long run", marks=pytest.mark.long))

Open = Callable[..., Page]

LAYOUT = """() => {
  const root = document.documentElement, problems = [];
  if (root.scrollWidth > root.clientWidth) problems.push("scrolls sideways: " + root.scrollWidth);
  for (const svg of document.querySelectorAll("figure svg[role=img]")) {
    const frame = svg.getBoundingClientRect();
    if (!frame.width) continue;
    if (!svg.querySelector("text")) problems.push("no labels");
    const texts = [...svg.querySelectorAll("text")].map(text => [text.textContent, text.getBoundingClientRect()]);
    texts.forEach(([text, box], index) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 ||
          box.top < frame.top - 1 || box.bottom > frame.bottom + 1) problems.push("clipped: " + text);
      if (box.height < 9) problems.push("too small: " + text);
      for (const [other, next] of texts.slice(index + 1)) {
        const across = Math.min(box.right, next.right) - Math.max(box.left, next.left);
        const down = Math.min(box.bottom, next.bottom) - Math.max(box.top, next.top);
        if (across > 1 && down > 4) problems.push("overlap: " + text + " / " + other);
      }
    });
  }
  for (const box of document.querySelectorAll("h1, h2, h3, p, li, dd, dt, th, td, figcaption, summary")) {
    if (parseFloat(getComputedStyle(box).fontSize) < 11) problems.push("small print: " + box.textContent);
  }
  return problems;
}"""

CONTRAST = """least => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const known = new Map();
  const channels = colour => known.get(colour) ?? known.set(colour, painted(colour)).get(colour);
  const painted = colour => {  // red, green, blue and opacity of any CSS colour
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((value, i) => value * a + below[i] * (1 - a));
  const luminance = rgb => rgb
    .map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = element => {
    const below = element.parentElement ? behind(element.parentElement) : [255, 255, 255];
    return over(channels(getComputedStyle(element).backgroundColor), below);
  };
  const problems = [];
  let asked = 0;
  const ask = (words, element, pseudo) => {
    const style = getComputedStyle(element, pseudo), back = behind(element);
    const paint = element.ownerSVGElement ? style.fill : style.color;
    const found = ratio(over(channels(paint), back), back);
    asked += 1;
    if (found < least) problems.push(found.toFixed(2) + ": " + words.trim().slice(0, 40));
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (node.data.trim() && !["title", "desc", "STYLE"].includes(element.tagName) && element.checkVisibility()) {
      ask(node.data, element);
    }
  }
  for (const element of document.querySelectorAll(".badge, td")) {
    const content = getComputedStyle(element, "::before").content;
    if (!["none", "normal"].includes(content) && element.checkVisibility()) ask(content, element, "::before");
  }
  return {asked, problems};
}"""

STOPS = """() => {
  window.stops = [...document.querySelectorAll("a[href], summary, [tabindex='0'], button, input, select, textarea")]
    .filter(element => element.checkVisibility({visibilityProperty: true}));
  return window.stops.length;
}"""

FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
  return {
    index: window.stops.indexOf(element),
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.width > 4 && box.height > 4 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left >= 0,
  };
}"""


@pytest.fixture
def opened(browser: Browser, pages: Pages) -> Iterator[Open]:
    """Opens a page; at the end nothing may have been logged, thrown or asked of anything but the page itself."""
    complaints: list[str] = []
    tabs: list[Page] = []

    def open_page(name: str, width: int = 1440, scheme: Any = "light", unfolded: bool = False) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        tabs.append(page)
        address = pages.path(name).as_uri()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: complaints.append(asked.url) if asked.url not in (address, "data:,") else None)
        page.goto(address)
        if unfolded:
            page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        return page

    yield open_page
    for page in tabs:
        page.close()
    assert complaints == []


@pytest.mark.parametrize("name", [one_a_kind(name) for name in CASES])
def test_layout(opened: Open, name: str) -> None:
    """At no width does the page scroll sideways, folded or not, nor a label of a figure overlap or get cut."""
    page = opened(name, unfolded=True)
    for width in (390, 760, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(LAYOUT) == [], width


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("name", READ)
def test_tab_reaches_everything_in_order_and_shows_where_it_is(opened: Open, name: str, width: int) -> None:
    page = opened(name, width)
    count = page.evaluate(STOPS)
    seen = []
    for _ in range(count):
        page.keyboard.press("Tab")
        seen.append(page.evaluate(FOCUS))
    assert [each["index"] for each in seen] == list(range(count))
    assert all(each["ring"] and each["seen"] for each in seen), seen
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(FOCUS)["index"] == count - 2


@pytest.mark.parametrize("name", READ)
def test_enter_and_space_open_and_close_what_is_folded(opened: Open, name: str) -> None:
    page = opened(name)
    folds = page.locator("details")
    assert folds.count() > 0
    for fold in folds.all():
        for key, is_open in (("Enter", True), ("Space", False), ("Space", True), ("Enter", False)):
            fold.locator("summary").press(key)
            assert fold.evaluate("fold => fold.open") is is_open
            assert fold.locator("table, li").first.is_visible() is is_open


@pytest.mark.parametrize("name", READ)
def test_the_first_link_skips_to_the_result(opened: Open, name: str) -> None:
    page = opened(name)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "r1"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('article')?.id") == "r1"


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(opened: Open, name: str, scheme: str) -> None:
    """4.5 to 1 (WCAG 2.2, 1.4.3) for every text, in figures too, at both widths."""
    page = opened(name, scheme=scheme, unfolded=True)
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        found = page.evaluate(CONTRAST, 4.5)
        assert found["asked"] > 50
        assert found["problems"] == []
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark is (scheme == "dark")


@pytest.mark.parametrize("name", READ)
def test_every_figure_has_a_name_and_a_description(opened: Open, name: str) -> None:
    """As the browser hands them to assistive technology."""
    page = opened(name)
    page.wait_for_load_state()
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    images = [node for node in nodes if node.get("role", {}).get("value") in ("image", "img") and not node["ignored"]]
    shown = page.locator("figure svg[role=img]:visible").count()
    assert len(images) == shown > 0
    assert all(len(node["name"]["value"]) > 20 for node in images), [node["name"] for node in images]
    assert page.locator("img:not([alt])").count() == 0


def test_the_value_of_the_nearest_point_is_shown(opened: Open) -> None:
    """Where the pointer comes near a point, in the words and digits of the table; elsewhere nothing is."""
    page = opened("repair")
    figure = page.locator("figure svg[role=img]:visible").first
    figure.scroll_into_view_if_needed()
    point = figure.locator(".hit").nth(3)
    box = point.bounding_box()
    assert box
    hint = page.locator(".hint")
    assert not hint.is_visible()
    page.mouse.move(box["x"] + box["width"] / 2 + 5, box["y"] + box["height"] / 2 - 5)
    assert hint.is_visible()
    told = hint.inner_text()
    assert re.fullmatch(r"carry\(expected_run=1280\), age 4 to 7: [+−]0\.\d+\u00a0nats \(.* to .*\)", told)
    value, interval = re.findall(r"[+−]0\.\d+(?: to [+−]0\.\d+)?", told)[0:2]
    row = page.locator("tr", has=page.locator("th", has_text=re.compile("^4 to 7$"))).first
    assert value in (row.text_content() or "")
    assert interval in (row.text_content() or "")
    frame = figure.bounding_box()
    assert frame
    page.mouse.move(frame["x"] + 2, frame["y"] + 2)
    assert not hint.is_visible()


def test_tables_are_sorted_from_the_keyboard(opened: Open) -> None:
    """Up, down, and as they were; rows without a number come last."""
    page = opened("comparison")
    table = page.locator(".sortable table").first
    names, values = table.locator("tbody th .name"), table.locator("tbody td:nth-child(3) > div")
    given = names.all_inner_texts()
    head = table.locator("thead th").nth(2)
    orders = []
    for way in ("ascending", "descending", None):
        head.locator("button").press("Enter")
        assert head.get_attribute("aria-sort") == way
        orders.append([float(text.split()[0]) for text in values.all_inner_texts()])
    assert orders[0] == sorted(orders[0])
    assert orders[1] == sorted(orders[0], reverse=True)
    assert names.all_inner_texts() == given
    table.locator("thead th").first.locator("button").press("Space")
    assert names.all_inner_texts() == sorted(given)


def test_without_a_script_the_page_is_whole(browser: Browser, pages: Pages) -> None:
    """Every number stands in the tables, values under the pointer are the browser's, and nothing offers to sort."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages.path("comparison").as_uri())
    assert page.locator("thead button").count() == 0
    assert page.locator("figure svg .hit title").count() > 50
    assert page.locator("details summary").first.is_visible()
    context.close()


@pytest.mark.parametrize(("name", "width", "columns"), [("texts", 1440, 3), ("texts", 390, 1), ("文章", 1440, 3)])
def test_texts_stand_beside_each_other_where_there_is_room(opened: Open, name: str, width: int, columns: int) -> None:
    """With their spaces and line ends, as they were written."""
    page = opened(name, width)
    first = page.locator(".excerpt").first
    boxes = [each.bounding_box() for each in first.locator(".beside pre").all()]
    assert len({round(box["y"]) for box in boxes if box}) == (1 if columns == 3 else 3)
    assert len({round(box["x"]) for box in boxes if box}) == columns
    assert first.locator("pre").first.inner_text() == example.samples()[0].read
    assert page.locator(".excerpt").count() == 3


def test_a_hostile_text_is_only_shown(opened: Open) -> None:
    page = opened("hostile texts")
    shown = page.locator(".excerpt .beside pre").nth(2).inner_text()
    assert shown.startswith("\n" + NASTY + "</pre><b>\ufffd\ufffd[31m\ufffd")
    assert page.locator(".excerpt b, .excerpt script").count() == 0


def test_a_table_against_all_rivals_shows_its_outcome_on_a_small_laptop(opened: Open) -> None:
    page = opened("against all", 1100)
    cut = page.evaluate(
        "[...document.querySelectorAll('.table')].filter(each => each.scrollWidth > each.clientWidth)"
        ".map(each => `${each.ariaLabel}: ${each.scrollWidth} of ${each.clientWidth}`)"
    )
    assert cut == []


def test_names_of_values_have_room_on_a_telephone(opened: Open) -> None:
    """A path is not broken into one part a line."""
    page = opened("texts", 390, unfolded=True)
    head = page.locator(".named tbody th").first.bounding_box()
    assert head
    assert head["width"] > 140
    assert head["height"] < 160
