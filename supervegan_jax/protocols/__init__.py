"""Public benchmarks as presets: their files, what is done to them, the columns of their reports."""
