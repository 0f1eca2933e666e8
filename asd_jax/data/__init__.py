"""From wav files to batches: clip tables, decoding, cache, pipelines, synthetic machines."""
