"""Where to run it: many runs, many machines."""
