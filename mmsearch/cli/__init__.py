"""The command line: parses flags, calls the collection, prints; nothing else prints or exits."""
