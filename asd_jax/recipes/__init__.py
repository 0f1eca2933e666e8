"""The stories: one page each, stages in order, each resumable."""
