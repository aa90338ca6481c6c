"""Models as strangers write them, one style a file. None of them knows of outlast."""
