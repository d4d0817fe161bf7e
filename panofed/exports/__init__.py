"""The whole catalog as STAC-GeoParquet: one file for each leaf, and a manifest."""
