"""The named terms of the training loss (III-C, Eq. 6-8)."""
