"""The quick way of one plain query in a new process: sqlite3 and NumPy, and nothing to load."""
