"""Clips as arrays, for training and measuring: probed, read and encoded with ffmpeg."""
