"""Answers as bytes: STAC documents, rows, and pages of them."""
