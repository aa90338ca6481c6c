"""Tables read as streams: columns, rows, clock, order, scaling, targets."""
