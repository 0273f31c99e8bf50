"""Nearest neighbours: FAISS behind the VectorIndex protocol, and brute force to check it."""
