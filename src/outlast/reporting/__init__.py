"""One offline HTML file, and a terminal summary, drawn from results only."""

import functools

from outlast.reporting.drawing.figure_files import ask_for_font
from outlast.reporting.facts import first_told
from outlast.reporting.kinds import summary
from outlast.reporting.notebook import short_html
from outlast.reporting.report import write_figures, write_report
from outlast.reporting.words.language import Language
from outlast.results import told_by

told_by(functools.partial(summary, python=True), short_html)

__all__ = ["Language", "ask_for_font", "first_told", "summary", "write_figures", "write_report"]
