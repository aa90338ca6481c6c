"""The deployed model over live input, its successors beside it, and what is kept so that a killed run goes on."""
