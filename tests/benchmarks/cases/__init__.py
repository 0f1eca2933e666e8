"""One file a benchmark; each has a `CASE`."""
