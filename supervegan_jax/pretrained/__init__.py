"""Reading weights other people trained, executing nothing."""
