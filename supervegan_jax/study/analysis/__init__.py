"""From votes to equivalent bitrates: screening, psychometric curves, intervals, comparisons."""
