"""Frames out of any video exactly as it stores them; what else the file holds."""
