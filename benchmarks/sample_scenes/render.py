"""Render sample pictures with POV-Ray, with captions that tell what was put in them.

    python benchmarks/sample_scenes/render.py --out sample_data --seed 1 --count 160 --size 320

writes photos, products.csv, qrels.json and captions.json.  With
``--captions-only-jsonl`` it writes only pictures and a captions.jsonl with
several wordings for each, as material for training.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from home import HOME
from nature import NATURE
from PIL import Image
from settings import PRELUDE, SETTINGS, Setting, material, place
from thing import Thing
from toys import TOYS
from words import Piece, Scene, paraphrases

THINGS: tuple[Thing, ...] = (*TOYS, *HOME, *NATURE)
BY_KIND = {thing.kind: thing for thing in THINGS}
BY_PLACE = {setting.name: setting for setting in SETTINGS}


def piece(thing: Thing, rng: random.Random, setting: Setting, colour: str | None = None) -> Piece:
    """A thing in a colour that can be told from the place around it."""
    choices = [c for c in thing.colours if c not in setting.avoid] or list(thing.colours)
    return Piece(thing, colour or rng.choice(choices), rng.choice(thing.materials))


def sdl(scene: Scene, rng: random.Random, plain: bool) -> str:
    """The whole scene in POV-Ray's language."""
    first = scene.pieces[0]
    pip = "1,1,1" if first.colour not in ("white", "yellow", "pink") else ".05,.05,.05"
    center = "<.98,.8,.15>" if first.colour not in ("yellow", "orange") else "<.4,.22,.1>"
    parts = [
        PRELUDE.replace("PIP", pip).replace("CENTER", center),
        place(scene.setting, rng, plain, max(item.thing.aim for item in scene.pieces)),
    ]
    flip = rng.choice((-1, 1))
    for i, item in enumerate(scene.pieces):
        thing = item.thing
        if len(scene.pieces) == 1:
            scale, x, z = thing.scale * rng.uniform(0.88, 1.02), rng.uniform(-0.2, 0.2), 0.0
        else:
            scale, x, z = thing.scale * 0.68, flip * (-0.95 + 1.9 * i), rng.uniform(-0.3, 0.3)
        turn = rng.uniform(*thing.turn)
        parts.append(material(item.material, item.colour, rng))
        parts.append(
            f"union{{ {thing.sdl} material{{M}} rotate y*{turn:.1f} "
            f"scale {scale:.3f} translate <{x:.2f},0,{z:.2f}> }}\n"
        )
    return "".join(parts)


def render(text: str, target: Path, size: int) -> None:
    """Render one scene to a JPEG file."""
    with tempfile.TemporaryDirectory() as folder:
        source, png = Path(folder, "scene.pov"), Path(folder, "scene.png")
        source.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [
                "povray",
                f"+I{source}",
                f"+O{png}",
                f"+W{size}",
                f"+H{size}",
                "+A0.2",
                "+R2",
                "-D",
                "-GA",
                "+WT1",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode or not png.exists():
            raise RuntimeError(f"{target.name}: POV-Ray failed:\n{done.stderr[-1500:]}")
        with Image.open(png) as image:
            image.convert("RGB").save(target, quality=85, optimize=True)


def first_scenes(rng: random.Random) -> list[Scene]:
    """Scenes that the samples always have: cars in several colours, red things, a few pairs."""
    singles = [
        ("car", "red", "wooden-table"),
        ("car", "blue", "wooden-table"),
        ("car", "red", "beach"),
        ("car", "green", "white-studio"),
        ("car", "yellow", "brick-wall"),
        ("car", "black", "snow"),
        ("mug", "red", "wooden-table"),
        ("ball", "red", "grass"),
        ("apple", "red", "wooden-table"),
        ("chair", "red", "blue-wall"),
        ("umbrella", "red", "beach"),
        ("sofa", "red", "white-studio"),
    ]
    pairs = [
        ("car", "red", "ball", "blue", "grass"),
        ("mug", "white", "teapot", "blue", "wooden-table"),
        ("apple", "red", "banana", "yellow", "wooden-table"),
        ("book", "green", "candle", "red", "night"),
        ("bucket", "yellow", "ball", "red", "beach"),
        ("snowman", "red", "hat", "blue", "snow"),
        ("chair", "white", "table", "brown", "brick-wall"),
        ("vase", "purple", "bowl", "turquoise", "white-studio"),
        ("duck", "yellow", "boat", "red", "beach"),
        ("rocket", "orange", "car", "blue", "night"),
    ]
    made = [Scene((piece(BY_KIND[k], rng, BY_PLACE[s], c),), BY_PLACE[s]) for k, c, s in singles]
    made += [
        Scene(
            (piece(BY_KIND[a], rng, BY_PLACE[s], ca), piece(BY_KIND[b], rng, BY_PLACE[s], cb)),
            BY_PLACE[s],
        )
        for a, ca, b, cb, s in pairs
    ]
    return made


def plan(count: int, rng: random.Random, distinct: bool) -> list[Scene]:
    """The scenes to render; *distinct*: no two with the same thing, colour and place."""
    scenes = first_scenes(rng)[:count] if distinct else []
    seen = {scene.name for scene in scenes}
    colours = {
        thing.kind: [p.colour for s in scenes for p in s.pieces if p.thing is thing]
        for thing in THINGS
    }
    order: list[Thing] = []
    while len(scenes) < count:
        if not order:
            order = rng.sample(THINGS, len(THINGS))
        thing, setting = order.pop(), rng.choice(SETTINGS)
        item = piece(thing, rng, setting)
        pieces = [item]
        if rng.random() < (0.06 if distinct else 0.15):
            pieces.append(piece(rng.choice([t for t in THINGS if t is not thing]), rng, setting))
        scene = Scene(tuple(pieces), setting)
        fresh = item.colour not in colours[thing.kind] or len(set(colours[thing.kind])) >= min(
            4, len(thing.colours)
        )
        if distinct and (scene.name in seen or not fresh):
            order.insert(0, thing)
            continue
        seen.add(scene.name)
        colours[thing.kind].append(item.colour)
        scenes.append(scene)
    return scenes


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    """Write JSON lines in one step, so that a reader never sees half a file."""
    part = path.with_suffix(".part")
    part.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    os.replace(part, path)


def main() -> None:
    """Read the options and render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=160)
    parser.add_argument("--size", type=int, default=320, help="width and height in pixels")
    parser.add_argument("--workers", type=int, default=2, help="renderings at the same time")
    parser.add_argument(
        "--captions-only-jsonl", action="store_true", help="pictures and paraphrased captions only"
    )
    options = parser.parse_args()
    training = options.captions_only_jsonl
    rng = random.Random(options.seed)
    scenes = plan(options.count, rng, distinct=not training)
    photos = options.out if training else options.out / "photos"
    photos.mkdir(parents=True, exist_ok=True)
    jobs: list[tuple[str, Path, int]] = []
    rows: list[dict[str, object]] = []
    for i, scene in enumerate(scenes):
        own = random.Random(options.seed * 100003 + i)
        name = f"{i:05d}-{scene.name}.jpg" if training else f"{scene.name}.jpg"
        jobs.append((sdl(scene, own, plain=not training), photos / name, options.size))
        if training:
            rows.append({"image": name, "captions": paraphrases(scene, own)})
    with ThreadPoolExecutor(options.workers) as pool:
        list(pool.map(lambda job: render(*job), jobs))
    if training:
        write_lines(options.out / "captions.jsonl", rows)
    else:
        from catalogue import write_catalogue

        write_catalogue(options.out, scenes, options.seed)
    sys.stdout.write(f"{len(scenes)} pictures in {photos}\n")


if __name__ == "__main__":
    main()
