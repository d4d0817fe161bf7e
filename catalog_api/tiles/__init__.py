"""Vector tiles: what is in one, how it is written, when it is out of date, and where finished ones are kept."""
