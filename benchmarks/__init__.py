"""What makes the figures of the documentation; run from the root of a checkout, `python -m benchmarks.NAME`."""
