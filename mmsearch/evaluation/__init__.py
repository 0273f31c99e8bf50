"""Measure how well an encoder and an index find things, and say so reproducibly."""
