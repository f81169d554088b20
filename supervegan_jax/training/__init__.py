"""From batches to a trained generator."""
