"""What a model at work usually looks like, and a watcher that says when it does not."""
