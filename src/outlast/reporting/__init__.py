"""One offline HTML file, and a terminal summary, drawn from results only."""

from outlast.reporting.report import Language, write_figures, write_report
from outlast.reporting.text_table import summary

__all__ = ["Language", "summary", "write_figures", "write_report"]
