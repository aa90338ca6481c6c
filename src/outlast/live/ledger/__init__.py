"""The ledger of the production loop: one record of all that was seen, kept, tried, decided and put to work."""

from outlast.live.ledger.store import Ledger
from outlast.live.ledger.tables import ALLOWED, Label, Status

__all__ = ["ALLOWED", "Label", "Ledger", "Status"]
