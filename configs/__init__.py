"""Configurations: base.py names every field, the others change some."""
