"""From raw video to training records: clips, encodes at a measured bitrate, patches."""
