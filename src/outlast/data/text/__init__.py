"""Text: where it lies, which documents are streams of their own, and how it becomes numbers."""
