"""A finished rate-distortion run as one HTML file that needs no network."""
