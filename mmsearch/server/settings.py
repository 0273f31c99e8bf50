"""What an operator decides about one server. Frozen; `mmsearch serve` fills it from its options."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Settings:
    """Every limit has one place here and one default; docs/server.md says what each is for."""

    collection: Path
    host: str = "127.0.0.1"
    port: int = 8765

    # Who may do what, and from where.
    keys_file: Path | None = None  # None: no keys, so only this machine is served
    trusted_hosts: tuple[str, ...] = ()  # names of this server in Host; (): local names only
    allow_origins: tuple[str, ...] = ()  # other sites whose pages may use the API
    url_hosts: tuple[str, ...] = ()  # hosts that `image_url` may name; (): no picture by URL
    roots: tuple[Path, ...] = ()  # folders that a job may index; (): no such jobs

    # How much one request may ask for.
    max_body_bytes: int = 64 * MIB  # of NDJSON: of one line, the body has no end
    max_upload_pixels: int = 50_000_000  # a phone's largest; about 150 MB as RGB
    max_batch: int = 1000  # items, keys or queries of one JSON body; NDJSON has no such end
    max_k: int = 1000
    max_filter_depth: int = 32  # nested levels of JSON
    request_seconds: float = 30.0  # to send a body (of NDJSON: each piece), and to be answered

    # How often, per key or else per address; 0 requests a second: as often as they like.
    requests_per_second: float = 0.0
    burst: int = 50

    # The engine.
    max_waiting: int = 256  # queries in the queue; more are refused with 503
    max_queries_per_batch: int = 64
    batch_window_s: float = 0.002  # only waited for where several requests are under way
    lock_wait_s: float = 5.0  # for another process that writes, before 409
    answer_cache_bytes: int = 32 * MIB
    thumbnail_cache_bytes: int = 64 * MIB
    picture_workers: int = 2
    warm_pictures: bool = False  # load at start what searches by a picture need; else at the first

    # What is sent of a picture: its pixels, or also where, when and by whom it was taken.
    picture_metadata: bool = False

    log_queries: bool = False  # queries are personal: they are no part of the log unless wanted

    @property
    def has_keys(self) -> bool:
        return self.keys_file is not None
