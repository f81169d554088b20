"""How good a picture is, by number."""
