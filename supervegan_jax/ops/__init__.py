"""Pure array functions, one idea a file."""
