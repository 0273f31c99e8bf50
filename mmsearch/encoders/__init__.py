"""Encoders: pictures and words to unit vectors. Importing this package imports nothing heavy."""
