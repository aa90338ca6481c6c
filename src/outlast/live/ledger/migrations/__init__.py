"""How older ledgers become new ones; one file in `versions` a change, oldest first."""
