"""Models of transformers that outlast has no reader of its own for: transformers' own modules, whose caches are shown
as a state and taken back."""
