"""Experiments: base.py names every field, the others change fields; each trial is a config."""
