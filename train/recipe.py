"""The recipe: the checked, described and frozen settings of a whole training, read from YAML."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from console.errors import UsageError

SHIPPED = Path(__file__).parent / "recipes"


class RecipeError(UsageError):
    """The recipe cannot be used; the message names the file, the field and what was expected."""


class Section(BaseModel):
    """Common to all sections: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OperatingRows(Section):
    """Rows that choose calibration and thresholds: those in neither training nor test, of these values."""

    column: str = Field("split", description="manifest column that is asked")
    among: tuple[str, ...] = Field(("validation",), min_length=1, description="values of it that are taken")


class DataSection(Section):
    """Which rows of the manifest play which part. No patient may stand in two parts."""

    split_column: str = Field("split", description="manifest column that says what a row is for")
    train: tuple[str, ...] = Field(("train",), min_length=1, description="values of it that train")
    test: tuple[str, ...] = Field(("test",), min_length=1, description="values of it that are only ever measured")
    operating: OperatingRows = Field(OperatingRows(), description="rows that choose calibration and thresholds")
    min_years: int | None = Field(None, ge=0, description="rows of younger patients are left out; null: all ages")
    uncertain_tiers: tuple[str, ...] = Field(
        ("C",), description="tiers of labels that train, yet neither choose thresholds nor are measured"
    )
    measured_sources: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="sources whose test images the main figures are of; null: all. Others stand apart",
    )
    near_duplicates: Literal["leave_out", "error"] = Field(
        "leave_out", description="images of one exposure in two parts: left out of one of them, or an error"
    )


class StudyNetwork(Section):
    """The study's layers."""

    architecture: Literal["study_cnn"] = Field(
        description="study_cnn: 3x3 convolutions, ReLU, 2x2 max-pool each, dense to 2"
    )
    filters: tuple[int, ...] = Field((16, 32, 64), min_length=1, description="channels of each convolution")
    kernel: int = Field(
        3, ge=1, description="rows and columns of each convolution; edges are padded with the mean grey"
    )


class EdgeNetwork(Section):
    """EfficientNet-Lite0 (Tan and Le 2019, without squeeze-and-excitation, ReLU6) with ImageNet weights."""

    architecture: Literal["lite0"] = Field(description="lite0: EfficientNet-Lite0 with an evidence map")
    side: int = Field(160, ge=64, le=224, multiple_of=32, description="images are resized to this before the network")
    outlier_blocks: tuple[int, ...] = Field(
        (10, 14), min_length=1, description="blocks whose channel means tell images out of distribution"
    )


NetworkSection = Annotated[StudyNetwork | EdgeNetwork, Field(discriminator="architecture")]


class SamplingSection(Section):
    """How often images of each source, class and tier are drawn. Both classes are drawn equally often."""

    shares: dict[str, tuple[float, float]] = Field(
        {}, description="source: its shares of the normal and of the pneumonia images drawn, relative to other sources"
    )
    other_share: float = Field(0.2, gt=0, description="both shares of a source that is not listed")
    tiers: dict[str, float] = Field(
        {"C": 0.3}, description="tier of the label: how often such an image is drawn, relative to others of its source"
    )
    acquisition_style_transfer: float = Field(
        0.6, ge=0, le=1, description="share of images that are given the acquisition style of one of the other class"
    )


class FineTuneSection(Section):
    """lite0: training of the whole network from its ImageNet weights."""

    passes: int = Field(14_000, ge=1, description="images drawn in all")
    learning_rate: float = Field(1.5e-4, gt=0, description="highest; warms up linearly, then falls as a cosine")
    warm_up: float = Field(0.08, ge=0, lt=1, description="share of the steps")
    weight_decay: float = Field(0.02, ge=0, description="AdamW's, on kernels only")
    clip_norm: float = Field(1.0, gt=0, description="gradients are cut to this norm")
    frozen_blocks: int = Field(3, ge=0, le=16, description="the stem and so many blocks keep their ImageNet weights")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of pooled features left out")
    smoothing: float = Field(0.05, ge=0, lt=0.5, description="labels are that far from 0 and 1")
    averaging: float = Field(0.99, gt=0, lt=1, description="momentum of the moving average of the weights")


class OutliersSection(Section):
    """lite0: when an image is rejected as out of distribution."""

    false_alarms: float = Field(0.01, gt=0, lt=0.5, description="share of any source's images that may be rejected")
    margin: float = Field(1.0, ge=1, description="the threshold is that many times the distance so chosen")
    copies: int = Field(1, ge=0, description="changed copies of each training image that are in distribution too")


class ShiftSection(Section):
    """lite0: groups of sources that are left out of a training of their own, and measured by its network."""

    leave_out: tuple[tuple[str, ...], ...] = Field((), description="groups of sources; empty: none")


class OptimizerSection(Section):
    """Stochastic gradient descent with momentum, as MATLAB's `sgdm`."""

    learning_rate: float = Field(0.0001, gt=0, description="constant through the training")
    momentum: float = Field(0.9, ge=0, lt=1, description="share of the last step kept (MATLAB default 0.9)")
    l2: float = Field(0.0001, ge=0, description="weight decay on weights, not on biases (MATLAB default 0.0001)")


class OperatingPointSection(Section):
    """How calibration and thresholds are chosen from the operating images."""

    calibration: Literal["none", "platt", "temperature", "isotonic", "pinned"] = Field(
        "platt", description="fitted on the logits; pinned: the operating logit is one half, the slope is fitted"
    )
    decide: Literal["even", "worst_source"] = Field(
        "even",
        description="for pinned: the operating logit. even: 0, as classes are drawn equally often; worst_source: where "
        "the lowest sensitivity or specificity of any source is highest",
    )
    review_share: float = Field(
        0.135, ge=0, lt=1, description="for pinned: at most this share of images, classes weighed alike, is review"
    )
    corrupted_copies: int = Field(
        4, ge=0, description="for pinned: so many corrupted copies of each image help to choose slope and review band"
    )
    prevalence: float | None = Field(
        0.5, gt=0, lt=1, description="share of pneumonia that probabilities assume; null: as in the operating images"
    )
    clear_sensitivity: float = Field(
        0.99,
        gt=0,
        lt=1,
        description="clear_below lets the lower 95 % bound of sensitivity reach this, if images suffice",
    )
    flag_specificity: float = Field(
        0.95, gt=0, lt=1, description="flag_at reaches this specificity, images below excepted"
    )


class ReleaseSection(Section):
    """What a bundle made from the run says of itself."""

    min_years: int = Field(20, ge=0, description="youngest patient that the box lets the model classify")
    max_years: int | None = Field(None, ge=0, description="oldest; null: no limit")
    intended_use: str = Field(description="stands in manifest and model card")
    licence: str = Field("", description="of the weights, as the images impose it; stands in manifest and model card")
    limits: str = Field("", description="what cannot be learnt from the training images; stands in the model card")


class PopulationSection(ReleaseSection):
    """One population: what its bundle says, and the settings that its images need. null: as in the recipe."""

    sampling: SamplingSection | None = Field(None, description="instead of the recipe's")
    fine_tune: FineTuneSection | None = Field(None, description="instead of the recipe's")
    outliers: OutliersSection | None = Field(None, description="instead of the recipe's")
    operating_point: OperatingPointSection | None = Field(None, description="instead of the recipe's")
    shift: ShiftSection | None = Field(None, description="instead of the recipe's")


class Recipe(Section):
    """A whole training."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="names the bundle too")
    description: str = Field(description="one line for tables and the model card")
    data: DataSection = Field(DataSection(), description="which rows of the manifest play which part")
    network: NetworkSection = Field(description="the layers")
    sampling: SamplingSection = Field(SamplingSection(), description="lite0: how often each image is drawn")
    fine_tune: FineTuneSection = Field(FineTuneSection(), description="lite0: how the network is trained")
    outliers: OutliersSection = Field(OutliersSection(), description="lite0: when an image is rejected")
    shift: ShiftSection = Field(ShiftSection(), description="lite0: sources left out in turn")
    optimizer: OptimizerSection = Field(OptimizerSection(), description="how weights move")
    batch_size: int = Field(32, ge=1, description="images of one step")
    epochs: int = Field(5, ge=1, description="times that every training image is seen")
    seeds: tuple[int, ...] = Field((1, 2, 3, 4, 5), min_length=1, description="one run each")
    shuffle: Literal["never", "once", "every-epoch"] = Field("once", description="MATLAB default: once")
    drop_remainder: bool = Field(True, description="images that do not fill a batch are left out, as in MATLAB")
    augment: Literal["none", "exposure"] = Field("none", description="changes made to training images")
    average_seeds: bool = Field(True, description="lite0: the mean of all seeds' weights is the network released")
    mixed_precision: bool = Field(False, description="float16 on GPUs that gain by it; float32 sums and logits")
    operating_point: OperatingPointSection = Field(OperatingPointSection(), description="calibration and thresholds")
    release: ReleaseSection = Field(description="what a bundle says of itself")
    populations: dict[str, PopulationSection] = Field({}, description="what it says instead, for each population")

    @model_validator(mode="after")
    def _seeds_differ(self) -> Self:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError("seeds: each stands once")
        return self

    def of_population(self, population: str) -> Recipe:
        """The same recipe, named and described for one of its populations. Raises RecipeError."""
        if population not in self.populations:
            present = ", ".join(sorted(self.populations)) or "none"
            raise RecipeError(f"{self.name}: no population {population!r}; it has {present}")
        own = self.populations[population]
        release = {name: getattr(own, name) for name in ReleaseSection.model_fields}
        changed = {name: getattr(own, name) for name in PopulationSection.model_fields if name not in release}
        changes = {
            **{name: section for name, section in changed.items() if section is not None},
            "name": f"{self.name}-{population}",
            "release": ReleaseSection(**release),
            "populations": {},
        }
        return self.model_copy(update=changes)

    @property
    def digest(self) -> str:
        """SHA-256 over all settings, hex."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def edge_network(recipe: Recipe) -> EdgeNetwork:
    """The recipe's network section. Raises TypeError for another kind of network."""
    if not isinstance(recipe.network, EdgeNetwork):
        raise TypeError(f"expected a lite0 network, got {recipe.network.architecture}")
    return recipe.network


def find_recipe(name: str) -> Path:
    """A path as it is, or the shipped recipe of that name. Raises RecipeError."""
    for path in (Path(name), SHIPPED / f"{name}.yaml"):
        if path.is_file():
            return path
    shipped = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.yaml")))
    raise RecipeError(f"{name}: no such recipe; name a YAML file or one of the shipped: {shipped}")


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe. Raises RecipeError naming each wrong field."""
    try:
        return Recipe.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror})") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors()]
        raise RecipeError("\n".join([f"{path}: {len(lines)} field(s) to fix", *lines])) from None


def write_recipe(recipe: Recipe, path: Path) -> None:
    """The recipe with every default spelled out."""
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False), encoding="utf-8")
