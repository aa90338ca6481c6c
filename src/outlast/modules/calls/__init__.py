"""How a module of one's own is called: its arguments, outputs, where its state is, and trials of all that."""
