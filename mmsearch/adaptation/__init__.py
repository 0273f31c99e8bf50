"""Fit a model to pairs of pictures and texts: `mmsearch train`."""
