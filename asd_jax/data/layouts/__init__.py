"""One module a way of laying out recordings in folders, each from a folder to a list of clips."""
