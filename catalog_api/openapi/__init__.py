"""What is served, described: operations, parameters, schemas, conformance classes."""
