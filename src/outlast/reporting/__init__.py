"""One offline HTML file, and a terminal summary, drawn from results only."""

from outlast.reporting.report import write_report
from outlast.reporting.text_table import summary

__all__ = ["summary", "write_report"]
