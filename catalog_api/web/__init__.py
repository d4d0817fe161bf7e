"""Pages for people: the map, the sequences, a picture, what this catalog is, and ways on from where nothing is."""
