"""What a worker counts of itself and of the index, for metrics."""
