"""Words: how texts are cut and folded for lexical search, and how misspelt ones are mended."""
