"""How fast networks are, and how near that is to what the machine can do."""
