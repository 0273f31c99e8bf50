"""The tables. Everything that a reader may believe is in one of them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from mmsearch.lexical.words import TOKENIZER

SCHEMA_VERSION = 8  # a new one brings a step in migrations.py

metadata = MetaData()

# Single facts: schema version and sequence number.
meta = Table(
    "meta",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)

# One row per item, live or not. A removed item stays as a tombstone (key NULL), so that an
# index which is behind learns of the removal by replaying `seq`.
items = Table(
    "items",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("key", Text, unique=True),
    Column("state", String, nullable=False),  # live | missing | removed
    Column("origin", Text),
    Column("group", Text),
    Column("path", Text),  # key form of the picture's path
    Column("text", Text),
    Column("attributes", JSON, nullable=False),
    Column("image_digest", LargeBinary),
    Column("text_digest", LargeBinary),
    Column("size_bytes", BigInteger),
    Column("mtime_ns", BigInteger),
    Column("seq", Integer, nullable=False, index=True),
    # The change that last touched what a person wrote of it or its state: copies of the words and
    # attributes follow this one, for vectors come and go without them, and they without vectors.
    Column("content_seq", Integer, nullable=False, index=True, default=0, server_default="0"),
    # The attributes that the row or file itself told of, where others were given to the item since;
    # NULL: just those that it has.
    Column("told", JSON(none_as_null=True)),
    Column("picture_of", Text),  # key of the item whose further picture this is
    Column("url", Text),  # the address that the picture was fetched from
)
# These are looked up, never their absence: what an item lacks costs nothing. Items are never looked
# up by their text: an index of a million digests in no order would be a third of what rows cost.
for column in (items.c.picture_of, items.c.image_digest):
    Index(f"items_by_{column.name}", column, sqlite_where=column.is_not(None))

# Which types each attribute has, or once had, somewhere: filters are checked against it.
attribute_types = Table(
    "attribute_types",
    metadata,
    Column("name", Text, primary_key=True),
    Column("type", String, primary_key=True),  # filters.ValueType
)

# One row per encoder that ever answered or is being prepared to; see records.Space.
spaces = Table(
    "spaces",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("dim", Integer, nullable=False),
    Column("state", String, nullable=False),  # current (one at most) | left | unfinished
    Column("complete_at", Integer, nullable=False),
    Column("left_at", Integer),  # the sequence number of the switch away from it
)

# Content addressed: the same picture or text is encoded once per encoder, wherever it stands.
embeddings = Table(
    "embeddings",
    metadata,
    Column("fingerprint", String, primary_key=True),
    Column("modality", String, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("row", Integer, nullable=False),
)

# Live items without a vector of the current space: none, but for what a repair has forgotten or a
# change of encoders could not read. Items are committed with their vectors, or after them.
waiting = Table(
    "waiting",
    metadata,
    Column("modality", String, primary_key=True),
    Column("digest", LargeBinary, primary_key=True),
    Column("item", Integer, primary_key=True),
)

# One row per appended run of vectors; the largest end is the committed head of the vector file.
batches = Table(
    "batches",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("first_row", Integer, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("checksum", LargeBinary, nullable=False),
)
Index("batches_by_end", batches.c.fingerprint, batches.c.first_row)

# Files that could not be read, with the stamp at which they failed: not retried until it changes.
failures = Table(
    "failures",
    metadata,
    Column("key", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("size_bytes", BigInteger),
    Column("mtime_ns", BigInteger),
    Column("origin", Text),  # key of the table that told of it; NULL: `key` itself
)

runs = Table(
    "runs",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("finished_at", String, nullable=False),
    Column("report", JSON, nullable=False),
)

# How many items are in which state, with a picture or a text, or are a further picture of another
# item: every query asks how many there are, and counting takes a look at each (60 ms of 100,000).
# Kept by writing.py; no row of `items` is ever deleted.
tallies = Table(
    "tallies",
    metadata,
    Column("state", String, primary_key=True),
    Column("has_image", Integer, primary_key=True, autoincrement=False),
    Column("has_text", Integer, primary_key=True, autoincrement=False),
    Column("further", Integer, primary_key=True, autoincrement=False),
    Column("items", Integer, nullable=False),
)

# The words of live items, folded, for search by BM25; two views of FTS5's own on its index. What
# they were made of stands in `items` alone: FTS5 keeps no copy of it.
WORD_TABLES = (
    'CREATE VIRTUAL TABLE words USING fts5(text, names, "key", content = "",'
    f' tokenize = "{TOKENIZER}")',
    "CREATE VIRTUAL TABLE terms USING fts5vocab(words, 'row')",
    "CREATE VIRTUAL TABLE postings USING fts5vocab(words, 'instance')",
)

__all__ = [
    "SCHEMA_VERSION",
    "WORD_TABLES",
    "attribute_types",
    "batches",
    "embeddings",
    "failures",
    "items",
    "meta",
    "metadata",
    "runs",
    "spaces",
    "tallies",
    "waiting",
]
