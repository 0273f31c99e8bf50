"""Into the collection: what is found on disk or handed over, decoded, encoded and committed."""
