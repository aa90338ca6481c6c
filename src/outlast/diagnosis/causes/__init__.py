"""The possible causes of a failure, each a small experiment and the evidence it leaves."""
