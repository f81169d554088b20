"""Quality over bitrate: encoding at a ladder of bitrates, enhancing, scoring, comparing curves."""
