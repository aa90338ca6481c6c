"""In which precision products may be asked for. Nothing here loads torch."""

PRECISIONS = ("auto", "float32", "bf16")
