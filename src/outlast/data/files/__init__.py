"""Files and frames as they lie: arrays, tables, workbooks, sound; and data that are fetched once."""
