"""Models whose contract is known because what they keep or break was planted; `outlast check` is judged by them."""
