"""From waveforms to features: pure JAX, golden against librosa."""
