"""From each older schema to the next one, in place.

The statements are written out: they must go on making the schema of their day when schema.py
has moved on. A test opens a collection of each old schema and compares the tables with new ones.
"""

from __future__ import annotations

# Schema 2 (2026-11): several encoders' spaces side by side; failures know what told of them.
_TO_2 = (
    """CREATE TABLE spaces (
        fingerprint VARCHAR NOT NULL PRIMARY KEY,
        name VARCHAR NOT NULL,
        dim INTEGER NOT NULL,
        state VARCHAR NOT NULL,
        complete_at INTEGER NOT NULL,
        left_at INTEGER
    )""",
    """INSERT INTO spaces
        SELECT json_extract(value, '$.fingerprint'), json_extract(value, '$.name'),
               json_extract(value, '$.dim'), 'current', 0, NULL
        FROM meta WHERE name = 'encoder'""",
    "DELETE FROM meta WHERE name = 'encoder'",
    "ALTER TABLE failures ADD COLUMN origin TEXT",
    # Which table an old failure came from is not known. Forgotten, its file is tried once more.
    "DELETE FROM failures",
    "CREATE INDEX items_by_image_digest ON items (image_digest)",
    "CREATE INDEX items_by_text_digest ON items (text_digest)",
)

STEPS = {1: _TO_2}  # schema -> what makes the next one of it


def statements(version: int) -> tuple[str, ...]:
    """All that turns schema `version` into today's, in order; nothing for today's own."""
    return tuple(sql for step in sorted(STEPS) if step >= version for sql in STEPS[step])
