"""What a finished run leaves to look at: scores.csv, results.json, report.html."""
