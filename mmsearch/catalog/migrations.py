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

# Schema 3 (2026-11): search by words, and the types of attributes. The functions searchable and
# searchable_attributes are Python's (lexical/words.py).
_TO_3 = (
    "ALTER TABLE items ADD COLUMN content_seq INTEGER NOT NULL DEFAULT '0'",
    "CREATE INDEX ix_items_content_seq ON items (content_seq)",
    "CREATE TABLE attribute_types (name TEXT NOT NULL, type VARCHAR NOT NULL, "
    "PRIMARY KEY (name, type))",
    """INSERT INTO attribute_types
        SELECT DISTINCT each.key, CASE each.type
            WHEN 'text' THEN 'string' WHEN 'array' THEN 'list'
            WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number'
            WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' ELSE each.type END
        FROM items, json_each(items.attributes) AS each WHERE items.state = 'live'""",
    """CREATE VIRTUAL TABLE words USING fts5(text, names, "key",
        tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M*'")""",
    "CREATE VIRTUAL TABLE terms USING fts5vocab(words, 'row')",
    "CREATE VIRTUAL TABLE postings USING fts5vocab(words, 'instance')",
    """INSERT INTO words (rowid, text, names, "key")
        SELECT id, searchable(text), searchable_attributes(attributes), searchable("key")
        FROM items WHERE state = 'live'""",
    "INSERT INTO meta VALUES ('words_seq', '0')",
)

# Schema 4 (2026-11): counts of items that need no look at each.
_TO_4 = (
    """CREATE TABLE tallies (
        state VARCHAR NOT NULL,
        has_image INTEGER NOT NULL,
        has_text INTEGER NOT NULL,
        items INTEGER NOT NULL,
        PRIMARY KEY (state, has_image, has_text)
    )""",
    """INSERT INTO tallies
        SELECT state, image_digest IS NOT NULL, text_digest IS NOT NULL, count(*)
        FROM items GROUP BY 1, 2, 3""",
    """CREATE TRIGGER tally_more AFTER INSERT ON items BEGIN
        INSERT INTO tallies
            VALUES (new.state, new.image_digest IS NOT NULL, new.text_digest IS NOT NULL, 1)
            ON CONFLICT DO UPDATE SET items = items + 1;
    END""",
    """CREATE TRIGGER tally_anew AFTER UPDATE OF state, image_digest, text_digest ON items
        WHEN old.state <> new.state
        OR (old.image_digest IS NULL) <> (new.image_digest IS NULL)
        OR (old.text_digest IS NULL) <> (new.text_digest IS NULL)
    BEGIN
        UPDATE tallies SET items = items - 1 WHERE state = old.state
            AND has_image = (old.image_digest IS NOT NULL)
            AND has_text = (old.text_digest IS NOT NULL);
        INSERT INTO tallies
            VALUES (new.state, new.image_digest IS NOT NULL, new.text_digest IS NOT NULL, 1)
            ON CONFLICT DO UPDATE SET items = items + 1;
    END""",
)

# Schema 5 (2026-11): attributes that were given stay; several pictures of one item, counted apart;
# pictures by URL.
_TO_5 = (
    "ALTER TABLE items ADD COLUMN told JSON",
    "ALTER TABLE items ADD COLUMN picture_of TEXT",
    "ALTER TABLE items ADD COLUMN url TEXT",
    "CREATE INDEX items_by_picture_of ON items (picture_of)",
    # A file tells of no attributes: what its item has was given to it. Of rows it is not known.
    "UPDATE items SET told = '{}' WHERE origin IS NULL AND attributes <> '{}'",
    "DROP TRIGGER tally_more",
    "DROP TRIGGER tally_anew",
    "DROP TABLE tallies",
    """CREATE TABLE tallies (
        state VARCHAR NOT NULL,
        has_image INTEGER NOT NULL,
        has_text INTEGER NOT NULL,
        further INTEGER NOT NULL,
        items INTEGER NOT NULL,
        PRIMARY KEY (state, has_image, has_text, further)
    )""",
    """INSERT INTO tallies
        SELECT state, image_digest IS NOT NULL, text_digest IS NOT NULL, 0, count(*)
        FROM items GROUP BY 1, 2, 3""",
    """CREATE TRIGGER tally_more AFTER INSERT ON items BEGIN
        INSERT INTO tallies VALUES (new.state, new.image_digest IS NOT NULL,
            new.text_digest IS NOT NULL, new.picture_of IS NOT NULL, 1)
        ON CONFLICT DO UPDATE SET items = items + 1;
    END""",
    """CREATE TRIGGER tally_anew
        AFTER UPDATE OF state, image_digest, text_digest, picture_of ON items
        WHEN old.state <> new.state
        OR (old.image_digest IS NULL) <> (new.image_digest IS NULL)
        OR (old.text_digest IS NULL) <> (new.text_digest IS NULL)
        OR (old.picture_of IS NULL) <> (new.picture_of IS NULL)
    BEGIN
        UPDATE tallies SET items = items - 1 WHERE state = old.state
            AND has_image = (old.image_digest IS NOT NULL)
            AND has_text = (old.text_digest IS NOT NULL)
            AND further = (old.picture_of IS NOT NULL);
        INSERT INTO tallies VALUES (new.state, new.image_digest IS NOT NULL,
            new.text_digest IS NOT NULL, new.picture_of IS NOT NULL, 1)
        ON CONFLICT DO UPDATE SET items = items + 1;
    END""",
)

# Schema 6 (2026-11): counts are kept once a transaction; by triggers they took as long as the rows.
_TO_6 = ("DROP TRIGGER tally_more", "DROP TRIGGER tally_anew")

# Schema 7 (2026-11): these indexes leave out the items that have no such thing.
_TO_7 = tuple(
    statement
    for name in ("picture_of", "image_digest", "text_digest")
    for statement in (
        f"DROP INDEX items_by_{name}",
        f"CREATE INDEX items_by_{name} ON items ({name}) WHERE {name} IS NOT NULL",
    )
)

# Schema 8 (2026-11): the words are kept once, in items; items that wait for a vector are named, and
# no more looked up by their text.
_TO_8 = (
    """CREATE TABLE waiting (
        modality VARCHAR NOT NULL,
        digest BLOB NOT NULL,
        item INTEGER NOT NULL,
        PRIMARY KEY (modality, digest, item)
    )""",
    *(
        f"""INSERT INTO waiting
            SELECT '{modality}', {modality}_digest, items.id FROM spaces CROSS JOIN items
            WHERE spaces.state = 'current' AND items.state = 'live'
            AND {modality}_digest IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM embeddings WHERE embeddings.fingerprint = spaces.fingerprint
                AND embeddings.modality = '{modality}' AND embeddings.digest = {modality}_digest
            )"""
        for modality in ("image", "text")
    ),
    "DROP INDEX items_by_text_digest",
    "DROP TABLE terms",
    "DROP TABLE postings",
    "DROP TABLE words",
    """CREATE VIRTUAL TABLE words USING fts5(text, names, "key", content = "",
        tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M*'")""",
    "CREATE VIRTUAL TABLE terms USING fts5vocab(words, 'row')",
    "CREATE VIRTUAL TABLE postings USING fts5vocab(words, 'instance')",
    # Made anew: what is to be forgotten is made again by the same rules.
    """INSERT INTO words (rowid, text, names, "key")
        SELECT id, searchable(text), searchable_attributes(attributes), searchable("key")
        FROM items WHERE state = 'live' AND picture_of IS NULL ORDER BY id""",
    "INSERT INTO meta VALUES ('words_unicode', unicode_version())",
)

STEPS = {
    1: _TO_2,
    2: _TO_3,
    3: _TO_4,
    4: _TO_5,
    5: _TO_6,
    6: _TO_7,
    7: _TO_8,
}  # schema -> what makes the next one of it


def statements(version: int) -> tuple[str, ...]:
    """All that turns schema `version` into today's, in order; nothing for today's own."""
    return tuple(sql for step in sorted(STEPS) if step >= version for sql in STEPS[step])
