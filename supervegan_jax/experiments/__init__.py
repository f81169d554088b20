"""What a finished rate-distortion run says: one file for each kind of table or figure."""
