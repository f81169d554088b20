"""The networks of an experiment: what each is trained on and for how long, trained and kept."""
