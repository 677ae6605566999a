from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from tests.support.toy_images import RECIPE
from train.recipe import SHIPPED, Recipe, RecipeError, Section, find_recipe, load_recipe, write_recipe


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_loads_and_is_found_by_name(path: Path) -> None:
    assert load_recipe(find_recipe(path.stem)).name == path.stem


def test_the_study_is_the_studys() -> None:
    study = load_recipe(find_recipe("study"))
    assert study.network.filters == (16, 32, 64)
    assert (study.optimizer.learning_rate, study.optimizer.momentum, study.optimizer.l2) == (1e-4, 0.9, 1e-4)
    assert (study.batch_size, study.epochs, len(study.seeds)) == (32, 5, 5)
    assert study.augment == "none"


def sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    annotations = [field.annotation for field in model.model_fields.values()]
    nested = [each for each in annotations if isinstance(each, type) and issubclass(each, Section)]
    return [model, *(section for each in nested for section in sections(each))]


def test_every_field_is_described() -> None:
    missing = [
        f"{section.__name__}.{name}"
        for section in sections(Recipe)
        for name, field in section.model_fields.items()
        if not field.description and name != "name"
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epochs": 0}, "epochs"),
        ({"surprise": 1}, "surprise"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"optimizer": {"momentum": 1.5}}, "optimizer.momentum"),
        ({"network": {"architecture": "transformer"}}, "network: .*architecture"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], word: str) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump({**RECIPE, **change}))
    with pytest.raises(RecipeError, match=word):
        load_recipe(tmp_path / "r.yaml")


def test_what_is_no_recipe_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: [")
    with pytest.raises(RecipeError, match="not YAML"):
        load_recipe(tmp_path / "r.yaml")
    with pytest.raises(RecipeError, match="study"):
        find_recipe("absent")


def test_a_recipe_written_and_read_is_the_same(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(RECIPE)
    write_recipe(recipe, tmp_path / "r.yaml")
    assert load_recipe(tmp_path / "r.yaml") == recipe
    assert load_recipe(tmp_path / "r.yaml").digest == recipe.digest


def test_a_population_names_the_run_and_has_settings_of_its_own() -> None:
    edge = load_recipe(find_recipe("edge"))
    adult, paediatric = (edge.of_population(name) for name in ("adult", "paediatric"))
    assert (adult.name, paediatric.name) == ("edge-adult", "edge-paediatric")
    assert (adult.operating_point.decide, paediatric.operating_point.decide) == ("worst_source", "even")
    assert adult.fine_tune.passes > paediatric.fine_tune.passes
    assert adult.fine_tune.learning_rate == paediatric.fine_tune.learning_rate == edge.fine_tune.learning_rate
    assert (adult.release.min_years, paediatric.release.max_years) == (20, 5)
    assert adult.outliers == paediatric.outliers == edge.outliers
    with pytest.raises(RecipeError, match="no population 'veterinary'; it has adult, paediatric"):
        edge.of_population("veterinary")
