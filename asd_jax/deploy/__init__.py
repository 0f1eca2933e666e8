"""A detector as one file for other programs: waveform in, scores and decisions out."""
