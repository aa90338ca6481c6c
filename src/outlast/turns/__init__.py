"""Several threads in one module: one after another, where a call leaves something in it."""

from outlast.turns.locks import Waiting, alone, found_alike, freely, try_out, turn, waiting

__all__ = ["Waiting", "alone", "found_alike", "freely", "try_out", "turn", "waiting"]
