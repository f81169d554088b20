"""Frames into a video file or a pipe, beside all that the source held; resumable."""
