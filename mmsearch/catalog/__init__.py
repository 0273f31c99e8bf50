"""The truth: items, digests and failures in SQLite, beside append-only vector files."""
