"""Keeps a collection in step with folders as files come and go."""
