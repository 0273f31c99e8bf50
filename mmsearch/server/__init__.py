"""A collection over HTTP: `mmsearch serve`."""
