"""Tables: files of rows, and what their columns say of items."""
