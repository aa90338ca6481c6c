"""One offline HTML file, and a terminal summary, drawn from results only."""

from outlast.reporting.figures import ask_for_font
from outlast.reporting.kinds import summary
from outlast.reporting.language import Language
from outlast.reporting.report import write_figures, write_report

__all__ = ["Language", "ask_for_font", "summary", "write_figures", "write_report"]
