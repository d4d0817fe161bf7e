"""The demonstration: real Panoramax servers (GeoVisio) with generated pictures, and the catalog that follows them."""
