import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mmsearch
from mmsearch.encoders import numpy_tower
from mmsearch.encoders.open_clip_encoder import OpenClipEncoder, load_open_clip
from mmsearch.encoders.tensor_file import product
from mmsearch.encoders.text_tower import export_text_tower, open_text_tower, tower_folder
from mmsearch.encoders.tower_export import PROBES
from tests.support import paint

from .conftest import TEXT_CFG, save_tiny_model

TEXTS = [*PROBES, "Hello <end_of_text> hidden", "&lt;b&gt; tag &AMP; more", "\ufb01ne \uff46\uff55"]


def least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.einsum("nd,nd->n", a, b).min())


@pytest.mark.parametrize(
    "model_cfg",
    [{}, {"quick_gelu": True}, {"custom_text": True}],
    ids=["gelu", "quick_gelu", "nested"],
)
def test_an_exported_clip_tower_answers_like_torch(
    tmp_path: Path, model_cfg: dict[str, bool]
) -> None:
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m", **model_cfg)), "cpu")
    assert open_text_tower(encoder.fingerprint, encoder.name) is None
    assert export_text_tower(encoder) == tower_folder(encoder.fingerprint)
    tower = open_text_tower(encoder.fingerprint, encoder.name)
    assert tower is not None
    assert tower.dim == encoder.dim
    ours = tower.encode_texts(TEXTS)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert least_cosine(ours, encoder.encode_texts(TEXTS)) >= 0.9999


def test_the_mini_tower_answers_like_torch_under_the_same_fingerprint(
    mini: OpenClipEncoder,
) -> None:
    encoder = mini
    tower = open_text_tower(encoder.fingerprint, "mini")
    assert tower is not None
    assert tower.fingerprint == encoder.fingerprint
    assert least_cosine(tower.encode_texts(TEXTS), encoder.encode_texts(TEXTS)) >= 0.9999
    assert export_text_tower(encoder) is not None


@pytest.mark.parametrize("rows", [1, 4, 32, 33, 100])
def test_a_product_of_few_rows_is_that_of_many(rows: int) -> None:
    draw = np.random.default_rng(rows)
    x = draw.normal(size=(rows, 24)).astype(np.float32)
    weight = draw.normal(size=(40, 24)).astype(np.float32)
    ours = product(x, weight)
    assert ours.dtype == np.float32
    assert ours.flags.c_contiguous
    np.testing.assert_allclose(ours, np.einsum("ni,oi->no", x, weight), atol=1e-5)


def test_a_text_alone_has_the_vector_that_it_has_among_others(tmp_path: Path) -> None:
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m")), "cpu")
    export_text_tower(encoder)
    tower = open_text_tower(encoder.fingerprint, encoder.name)
    assert tower is not None
    alone = np.concatenate([tower.encode_texts([text]) for text in TEXTS])
    assert least_cosine(alone, tower.encode_texts(TEXTS)) >= 0.999999


@pytest.mark.parametrize("processors", [1, 2, 5])
def test_lanes_encode_together_what_one_encodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m")), "cpu")
    export_text_tower(encoder)
    monkeypatch.setattr(numpy_tower, "lanes", lambda: processors)
    tower = open_text_tower(encoder.fingerprint, encoder.name)
    assert tower is not None
    texts = [f"{'very ' * (number % 7)}long text number {number}" for number in range(300)]
    alone = np.concatenate([tower.encode_texts([text]) for text in texts])
    assert least_cosine(alone, tower.encode_texts(texts)) >= 0.999999
    assert tower.encode_texts([]).shape == (0, encoder.dim)


def test_clip_token_ids_equal_those_of_open_clip(tmp_path: Path) -> None:
    from mmsearch.encoders.kept_tower import read_tower
    from mmsearch.encoders.numpy_tower import NumpyTextTower

    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m")), "cpu")
    folder = export_text_tower(encoder)
    assert folder is not None
    tower = read_tower(folder)
    assert isinstance(tower, NumpyTextTower)
    ours = tower._tokens.encode(TEXTS)
    for text, ids, row in zip(TEXTS, ours, encoder.tokenizer(TEXTS).tolist(), strict=True):
        assert ids == row[: row.index(ids[-1]) + 1], text


def test_another_fingerprint_or_a_damaged_tower_is_not_opened(tmp_path: Path) -> None:
    assert open_text_tower("0" * 16, "mini") is None
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m")), "cpu")
    folder = export_text_tower(encoder)
    assert folder is not None
    (folder / "text.safetensors").write_bytes(b"\xff" * 100)
    assert open_text_tower(encoder.fingerprint, encoder.name) is None
    assert export_text_tower(encoder) == folder
    assert open_text_tower(encoder.fingerprint, encoder.name) is not None


def test_a_tower_we_cannot_compute_leaves_nothing_behind(tmp_path: Path) -> None:
    cfg = {**TEXT_CFG, "no_causal_mask": True}
    folder = save_tiny_model(tmp_path / "m", custom_text=True, text_cfg=cfg)
    encoder = load_open_clip(str(folder), "cpu")
    assert export_text_tower(encoder) is None
    assert not tower_folder(encoder.fingerprint).exists()


def test_a_tower_that_disagrees_with_torch_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmsearch.encoders import numpy_tower

    monkeypatch.setitem(numpy_tower.ACTIVATIONS, "gelu", lambda x: -x)
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m")), "cpu")
    assert export_text_tower(encoder) is None
    assert list(tower_folder("x").parent.iterdir()) == []


def test_the_mini_tower_opens_and_encodes_without_torch() -> None:
    code = """
import sys
from mmsearch.encoders.fingerprint import folder_fingerprint
from mmsearch.encoders.text_tower import open_text_tower
from mmsearch.models.registry import BUNDLED_FOLDER
tower = open_text_tower(folder_fingerprint(BUNDLED_FOLDER), "mini")
print(tower.encode_texts(["a red car"]).shape)
heavy = {"torch", "transformers", "open_clip", "torchvision", "timm", "huggingface_hub"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1, ")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, mmsearch.encoders; assert not {'torch', 'numpy', 'PIL'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_tower_that_is_cut_off_is_not_opened_but_written_again(tmp_path: Path) -> None:
    encoder = load_open_clip(str(save_tiny_model(tmp_path / "m")), "cpu")
    folder = export_text_tower(encoder)
    assert folder is not None
    weights = folder / "text.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-200_000])
    assert open_text_tower(encoder.fingerprint, encoder.name) is None
    assert export_text_tower(encoder) == folder
    assert weights.read_bytes() == whole


def test_a_tower_that_is_gone_is_written_again_by_the_next_run_that_encodes(tmp_path: Path) -> None:
    model = str(save_tiny_model(tmp_path / "m"))
    paint(tmp_path / "photos" / "red.png", "red")
    with mmsearch.open(tmp_path / "c", create=True) as collection:
        collection.index([tmp_path / "photos"], model=model)
        tower = tower_folder(load_open_clip(model, "cpu").fingerprint)
        shutil.rmtree(tower)
        paint(tmp_path / "photos" / "blue.png", "blue")
        collection.index([tmp_path / "photos"])
    assert tower.is_dir()


def test_a_model_in_a_folder_is_found_from_any_other_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_model(tmp_path / "m")
    red = paint(tmp_path / "photos" / "red.png", "red")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with mmsearch.open(tmp_path / "c", create=True) as collection:
        collection.index(["photos"], model="./m")
    monkeypatch.chdir("elsewhere")
    with mmsearch.open(tmp_path / "c") as collection:
        assert collection.search(red, to="image", k=1)[0].key == "photos/red.png"
    monkeypatch.chdir(tmp_path)
    with mmsearch.open(tmp_path / "c") as collection:
        assert collection.index(["photos"], model="./m").unchanged == 1
