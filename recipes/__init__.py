"""Recipes that outlast comes with, and what only they need."""
