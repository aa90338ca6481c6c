"""One offline HTML file, and a terminal summary, drawn from results only."""

from outlast.reporting.kinds import summary
from outlast.reporting.language import Language
from outlast.reporting.report import write_figures, write_report

__all__ = ["Language", "summary", "write_figures", "write_report"]
