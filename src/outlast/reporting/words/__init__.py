"""The words of reports, each in English and in Japanese, and how numbers are written."""
