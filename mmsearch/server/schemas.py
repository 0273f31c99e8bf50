"""The shapes of requests and responses, as /openapi.json states them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    model_validator,
)
from pydantic.functional_validators import AfterValidator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from mmsearch.server.naming import new_key
from mmsearch.types import Fusion, Modality, Mode, Ranking, Target

MAX_KEY = 4096  # the longest path of Linux
MAX_TEXT = 100_000

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
Key = Annotated[str, StringConstraints(min_length=1, max_length=MAX_KEY)]


class _OrNumber:
    """In the contract: a number will do too."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(core), {"type": "number"}]}


# Tables have numbers for keys, and titles that are years: taken for their digits.
_Digits = Field(coerce_numbers_to_str=True)
NewKeyOrNumber = Annotated[
    str,
    _Digits,
    StringConstraints(min_length=1, max_length=MAX_KEY),
    AfterValidator(new_key),
    _OrNumber(),
]
TextOrNumber = Annotated[str, _Digits, StringConstraints(max_length=MAX_TEXT), _OrNumber()]


class Request(BaseModel):
    """What a client sends: unknown fields are errors, so that a typing mistake is one."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class TermIn(Request):
    """One weighted part of a query: exactly one of text, item and concept."""

    text: Text | None = None
    item: Key | None = Field(default=None, description="The key of a stored item.")
    concept: Text | None = Field(default=None, description="The name of a saved concept.")
    weight: float = Field(default=1.0, description="Negative: away from it.")


class MembershipIn(Request):
    """The item belongs to a saved concept, or, negated, does not."""

    concept: Text
    min_relevance: float = 0.5
    negated: bool = False


class SearchRequest(Request):
    """What to look for, among what, and how to arrange the answers. Only `text` is usual."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": "red shoes"},
                {
                    "text": "red shoes",
                    "where": "price < 50 and brand = 'Acme'",
                    "facets": ["brand", "price"],
                    "sort": ["price"],
                    "k": 20,
                },
                {"terms": [{"item": "P007"}, {"text": "blue", "weight": 0.7}]},
            ]
        }
    )

    text: Text | None = Field(default=None, description="Short for a first term.")
    terms: list[TermIn] = []
    to: Target | None = Field(
        default=None, description="What is found; null: as the collection prefers."
    )
    k: int = Field(default=10, ge=1, description="Hits of one page.")
    mode: Mode | None = None
    weights: dict[Ranking, float] | None = Field(default=None, description="Of the rankings fused.")
    fusion: Fusion | None = None
    templates: list[Text] | None = Field(default=None, examples=[["a photo of {}"]])
    liked: list[Key] = Field(
        default=[], description="Keys of items that move the query towards them."
    )
    disliked: list[Key] = Field(default=[], description="Keys of items that move it away.")
    where: Text | dict[str, Any] | None = Field(
        default=None, description="A filter: a text, or JSON."
    )
    within: list[MembershipIn] = []
    exclude: list[Key] = []
    min_relevance: float | Literal["auto"] | None = None
    sort: list[Text] = Field(default=[], description="Attributes; a leading minus: descending.")
    modifiers: dict[str, Any] | None = Field(
        default=None, description="Boosts, decays, pins, burials."
    )
    diversity: float | None = None
    group: bool = Field(default=False, description="One hit per group.")
    facets: list[Text] = Field(default=[], description="Attributes whose values are counted.")
    cursor: Text | None = Field(default=None, description="Of the page before.")
    explain: bool = False


class PartOut(BaseModel):
    rank: int
    score: float


class HitOut(BaseModel):
    """One answer. `score` orders; `relevance`, in [0, 1], says how much it is about the query."""

    rank: int
    score: float
    key: str
    modality: Modality
    path: str | None
    text: str | None
    group: str | None
    attributes: dict[str, Any]
    relevance: float | None
    variants: int | None = Field(description="How many of its group it stands for.")
    parts: dict[Ranking, PartOut] | None
    thumbnail_url: str | None = Field(description="Null without a picture.")


class CountOut(BaseModel):
    value: Any
    count: int


class FacetOut(BaseModel):
    """How often an attribute has which value; low and high are the ends of its numbers."""

    attribute: str
    counts: list[CountOut]
    distinct: int
    missing: int
    low: float | None
    high: float | None


class AnswerOut(BaseModel):
    """The hits of one page. `no_match` says that the hits are only the nearest there are."""

    hits: list[HitOut]
    total: int
    facets: list[FacetOut]
    cursor: str | None = Field(description="Asks for the next page; null after the last.")
    no_match: str | None
    explain: list[str]


class SuggestionOut(BaseModel):
    text: str
    items: int


class SuggestionsOut(BaseModel):
    suggestions: list[SuggestionOut]


class ItemOut(BaseModel):
    key: str
    text: str | None
    group: str | None
    attributes: dict[str, Any]
    has_image: bool
    image_url: str | None
    thumbnail_url: str | None


class _Row(Request):
    """Names an item and has attributes. Rows of tables are flat: it tells where theirs go."""

    @model_validator(mode="before")
    @classmethod
    def _no_columns(cls, given: Any) -> Any:
        fields = cls.model_fields
        for name in given if isinstance(given, dict) else ():
            if name not in fields:
                raise PydanticCustomError(
                    "extra_forbidden",
                    "there is no field {name}, but {fields}: what else an item has goes into "
                    '"attributes"',
                    {"name": repr(name), "fields": ", ".join(fields)},
                )
        return given


class ItemIn(_Row):
    """An item to add, or to put in the place of the one with its key."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "key": "P007",
                    "title": "Red running shoes",
                    "image_base64": "iVBORw0KGgo...",
                    "attributes": {"price": 49.9, "brand": "Acme"},
                }
            ]
        },
    )

    key: NewKeyOrNumber
    title: TextOrNumber | None = None
    description: TextOrNumber | None = None
    text: TextOrNumber | None = Field(
        default=None, description="In the place of title and description."
    )
    image_base64: str | None = Field(default=None, description="The bytes of a picture file.")
    image_url: Annotated[str, StringConstraints(max_length=2048)] | None = Field(
        None, description="Fetched, if the operator allows its host."
    )
    group: TextOrNumber | None = None
    attributes: dict[str, Any] = {}

    @model_validator(mode="after")
    def _one_picture(self) -> ItemIn:
        if self.image_base64 is not None and self.image_url is not None:
            raise ValueError("an item has one picture: image_base64 or image_url")
        return self


class ItemsIn(Request):
    items: list[ItemIn]


class AttributesIn(_Row):
    """New attributes of an item; null removes one, those not named stay."""

    key: Key
    attributes: dict[str, Any]


class UpdatesIn(Request):
    items: dict[Key, dict[str, Any]] = Field(
        examples=[{"P007": {"price": 39.9, "old_price": None}}]
    )


class KeysIn(Request):
    keys: list[Key] = Field(examples=[["P007", "P008"]])


class ResultOut(BaseModel):
    """What became of one item; a `done` one is committed."""

    key: str | None = Field(description="Null for a line that names none.")
    status: Literal["done", "failed"]
    reason: str | None = None
    line: int | None = Field(default=None, description="Of NDJSON, from 1.")


class WrittenOut(BaseModel):
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    results: list[ResultOut]


class FeedbackIn(Request):
    """What someone did with a hit."""

    query: SearchRequest
    key: Key
    action: Literal["click", "up", "down"]
    rank: int | None = Field(default=None, ge=1)


class AttributeOut(BaseModel):
    name: str
    types: list[str]


class EncoderOut(BaseModel):
    name: str
    fingerprint: str
    dim: int


class DefaultsOut(BaseModel):
    to: Target
    mode: Mode


class CollectionOut(BaseModel):
    items: int
    images: int
    texts: int
    missing: int
    failures: int
    sizes: dict[str, int] = Field(description="Bytes on disk.")
    index_kind: str
    encoder: EncoderOut | None
    defaults: DefaultsOut | None
    attributes: list[AttributeOut]
    sequence: int = Field(description="Of the last change.")


class ModelOut(BaseModel):
    name: str
    architecture: str
    pretrained: str
    bundled: bool
    on_disk: bool
    why: str


class ModelsOut(BaseModel):
    models: list[ModelOut]


class ConceptIn(Request):
    """What a concept looks for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"terms": [{"text": "a sunny beach"}], "liked": ["7"]}]}
    )

    text: Text | None = None
    terms: list[TermIn] = []
    liked: list[Key] = []
    disliked: list[Key] = []


class ConceptOut(BaseModel):
    name: str
    terms: list[dict[str, Any]]
    liked: list[str]
    disliked: list[str]


class ConceptsOut(BaseModel):
    concepts: list[ConceptOut]


class JudgedQuery(Request):
    """A query and the grades of the items that answer it: 1 or more relevant, 0 wrong."""

    query: SearchRequest | Text
    relevant: dict[Key, Annotated[int, Field(ge=0, le=1000)]]


class EvaluateIn(Request):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "queries": [{"query": "red shoes", "relevant": {"P007": 2, "P011": 1}}],
                    "measures": ["nDCG@10", "recall@10"],
                }
            ]
        }
    )

    queries: list[JudgedQuery] = Field(min_length=1)
    measures: list[Text] = Field(
        default=["nDCG@10", "recall@10", "hit@1"], min_length=1, max_length=50
    )


class EvaluateOut(BaseModel):
    measures: dict[str, float | None] = Field(description="Null: infinite.")
    queries: int
    unknown_keys: list[str] = Field(description="Judged, but in no item: they count as missed.")
    warnings: list[str]


class JobIn(Request):
    kind: Literal["index"]
    path: Text = Field(description="Beneath a folder that the operator allowed.")


class ProgressOut(BaseModel):
    step: str
    done: int
    total: int | None


class JobOut(BaseModel):
    id: str
    kind: Literal["index"]
    path: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: ProgressOut | None
    report: dict[str, Any] | None
    error: str | None
    created_at: str
    finished_at: str | None


class JobsOut(BaseModel):
    jobs: list[JobOut]


class HealthOut(BaseModel):
    status: str
    sequence: int | None = None
