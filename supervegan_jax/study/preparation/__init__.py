"""From clips, networks and bitrates to a study's folder."""
