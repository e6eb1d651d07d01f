"""Methods that keep few keys for every query."""
