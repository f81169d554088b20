"""Simulated studies whose answers are known, which the analysis has to find."""
