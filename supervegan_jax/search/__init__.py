"""Architecture search (paper, V-D): an evolution strategy over the networks' free fields."""
