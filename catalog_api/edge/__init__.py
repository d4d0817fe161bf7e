"""What happens to a request before and after its route: connection, limits, errors, the bytes that go out."""
