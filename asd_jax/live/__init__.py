"""Listening beside the machine: recordings, growing folders and live sound to scores and alarms."""
