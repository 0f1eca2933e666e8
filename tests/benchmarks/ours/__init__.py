"""What our side of a benchmark runs."""
