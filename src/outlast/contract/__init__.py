"""What is asked of every recurrent model, point by point, and the check of it."""
