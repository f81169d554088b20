"""Scoring videos against their originals: pairs, curves over bitrate, equivalent bitrates."""
