"""The search page in a real browser, on a real server."""
