"""What several theorems share."""
