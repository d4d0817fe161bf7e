"""Finding: the walks over leaves, sequences and lists that answer a query page by page."""
