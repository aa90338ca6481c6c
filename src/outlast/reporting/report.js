"use strict";
// Without this the page is whole: values stand in the tables and, as browsers show them, under the pointer.
(() => {
  const hint = document.createElement("div");
  hint.className = "hint";
  hint.setAttribute("aria-hidden", "true"); // what it says stands in the tables
  hint.hidden = true;
  document.body.append(hint);

  for (const svg of document.querySelectorAll("figure svg[role=img]")) {
    const points = [...svg.querySelectorAll(".hit")].map((circle) => {
      const title = circle.querySelector("title");
      title.remove(); // or the browser would say it a second time
      return {circle, text: title.textContent};
    });
    if (!points.length) continue;
    const leave = () => {
      hint.hidden = true;
      points.forEach(({circle}) => circle.classList.remove("near"));
    };
    const move = (event) => {
      leave();
      let best = null, least = 28;
      for (const point of points) {
        const box = point.circle.getBoundingClientRect();
        const away = Math.hypot(event.clientX - box.x - box.width / 2, event.clientY - box.y - box.height / 2);
        if (away < least) [best, least] = [{...point, box}, away];
      }
      if (!best) return;
      best.circle.classList.add("near");
      hint.textContent = best.text;
      hint.hidden = false;
      const {width, height} = hint.getBoundingClientRect(), page = document.documentElement;
      const x = best.box.x + best.box.width / 2 - width / 2, above = best.box.y - height - 6;
      hint.style.left = Math.max(4, Math.min(x, page.clientWidth - width - 4)) + scrollX + "px";
      hint.style.top = (above > 4 ? above : best.box.bottom + 6) + scrollY + "px";
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("pointerdown", move);
    svg.addEventListener("pointerleave", leave);
  }

  for (const table of document.querySelectorAll(".sortable table")) {
    const body = table.tBodies[0], given = [...body.rows], heads = [...table.tHead.rows[0].cells];
    const keys = (row, column) => {
      const cell = row.cells[column];
      return {number: cell.dataset.sort === "" ? NaN : Number(cell.dataset.sort), text: cell.textContent.trim()};
    };
    const sorted = (column, way) =>
      [...given].sort((one, other) => {
        const [a, b] = [keys(one, column), keys(other, column)];
        if (isNaN(a.number) !== isNaN(b.number)) return isNaN(a.number) ? 1 : -1; // what has no number comes last
        return way * (isNaN(a.number) ? a.text.localeCompare(b.text, document.documentElement.lang) : a.number - b.number);
      });
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = document.body.dataset.sortHint;
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        const next = {ascending: "descending", descending: null}[before] ?? (before ? null : "ascending");
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        body.append(...(next ? sorted(column, next === "ascending" ? 1 : -1) : given));
      });
    });
  }
})();
