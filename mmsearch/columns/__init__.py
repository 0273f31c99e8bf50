"""A copy of what items hold, by columns in memory: filters, facets and sorting in milliseconds."""
