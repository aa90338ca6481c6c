"""The study of remedies: its list of bases, and the rows of it that are tried beside those that outlast ships."""
