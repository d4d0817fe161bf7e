"""Reading the index: connections, the leaves this worker knows, small tables kept in memory, the change log."""
