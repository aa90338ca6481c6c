"""Losses told apart, or in other units: by labels, by situations, after a switch, as perplexity."""
