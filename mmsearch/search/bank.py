"""What people look for in pictures, where a collection has no texts of its own to learn it from.

Everyday things, places, people and doings. They stand for typical queries, nothing else: which of
them a collection has does not matter, for relevance.py measures both what is there and what is not.
"""

from __future__ import annotations

TYPICAL_QUERIES: tuple[str, ...] = (
    *("a dog", "a cat", "a horse", "a bird in a tree", "a cow in a field", "fish", "a butterfly"),
    *("a car", "a red car", "a bicycle", "a bus in the city", "a train", "an airplane", "a boat"),
    *(
        "a man",
        "a woman",
        "a child playing",
        "a baby",
        "a group of people",
        "an old man",
        "a crowd",
    ),
    *("people at a table", "a person running", "someone riding a bike", "a football match"),
    *("a woman in a dress", "a man with a hat", "a smiling girl", "a boy jumping", "a wedding"),
    *("a beach", "the sea at sunset", "mountains", "a forest", "snow", "a lake", "a river"),
    *("a city street at night", "a house", "a bridge", "a church", "a tall building", "a garden"),
    *("flowers", "a rose", "a tree without leaves", "grass", "a cloudy sky", "stars", "rain"),
    *("a cup of coffee", "bread", "a pizza", "a cake with candles", "fruit", "an apple", "a salad"),
    *("a bottle", "a glass of wine", "a plate of food", "a kitchen", "a knife and a fork"),
    *("a chair", "a table", "a bed", "a sofa", "a lamp", "a window", "a door", "a shelf of books"),
    *("a book", "a phone", "a computer on a desk", "a camera", "a clock", "a watch", "keys"),
    *("a shirt", "blue jeans", "running shoes", "a handbag", "a jacket", "sunglasses", "a hat"),
    *("a toy", "a ball", "a guitar", "a piano", "a painting", "a map", "a letter", "a sign"),
    *("something red", "something blue", "green", "yellow", "black and white", "a pattern"),
    *("a stone", "wood", "metal", "a machine", "tools", "a box", "a bag", "a umbrella"),
    *("a fire", "smoke", "a candle", "a flag", "a statue", "a fountain", "a road", "a fence"),
)
