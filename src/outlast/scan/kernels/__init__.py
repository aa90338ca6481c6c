"""Recurrences as compiled loops over addresses: numba, no torch. `outlast.scan.fused` makes torch operators of them."""
