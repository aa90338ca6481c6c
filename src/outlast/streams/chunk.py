"""How far a row is read in one step. Nothing here loads torch."""

CHUNK = 256
"""Positions of a row that are read in one step, where nothing else is asked for."""
