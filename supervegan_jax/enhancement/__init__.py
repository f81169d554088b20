"""Enhancing a stream of frames: windows, batches, tiles, devices, threads."""
