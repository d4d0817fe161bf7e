"""What a client asks, checked and compiled: parameters, filters, orders and places as conditions with bound values."""
