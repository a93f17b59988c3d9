"""Objects inside a problem are written as tables: spectra, models, ensembles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from ..core.problem import Description, description_class
from .values import Array, Nested


class SpectrumTable(Nested):
    """A spectral law; see `flowlimits.Spectrum`."""

    normalised: bool = False

    def build(self) -> Description:
        made = self.make(description_class("Spectrum"))
        return made.normalised() if self.normalised else made

    def make(self, spectrum: Any) -> Any:
        raise NotImplementedError


class OrthonormalTable(SpectrumTable):
    kind: Literal["orthonormal"]
    ratio: float

    def make(self, spectrum: Any) -> Any:
        return spectrum.orthonormal(self.ratio)


class MarchenkoPasturTable(SpectrumTable):
    kind: Literal["marchenko_pastur"]
    ratio: float
    nodes: int | Literal["auto"] = "auto"

    def make(self, spectrum: Any) -> Any:
        return spectrum.marchenko_pastur(self.ratio, nodes=self.nodes)


class NodesTable(SpectrumTable):
    kind: Literal["nodes"] = "nodes"
    nodes: Array
    weights: Array

    def make(self, spectrum: Any) -> Any:
        return spectrum(self.nodes, self.weights)


class SymmetricTable(SpectrumTable):
    kind: Literal["symmetric"]
    nodes: Array
    weights: Array = None

    def make(self, spectrum: Any) -> Any:
        return spectrum.symmetric(self.nodes, self.weights)


class EigenvaluesTable(SpectrumTable):
    kind: Literal["eigenvalues"]
    values: Array

    def make(self, spectrum: Any) -> Any:
        return spectrum.from_eigenvalues(self.values)


WORD = "(a word)"  # the tag of what is no table; no key can have this name by accident
SPECTRA: dict[str, type[SpectrumTable]] = {
    "orthonormal": OrthonormalTable,
    "marchenko_pastur": MarchenkoPasturTable,
    "nodes": NodesTable,
    "eigenvalues": EigenvaluesTable,
    "symmetric": SymmetricTable,
}


def _spectrum_kind(value: Any) -> Any:
    return value.get("kind", "nodes") if isinstance(value, Mapping) else None


def _start_kind(value: Any) -> Any:
    return _spectrum_kind(value) if isinstance(value, Mapping) else WORD


SpectrumField = Annotated[
    Annotated[OrthonormalTable, Tag("orthonormal")]
    | Annotated[MarchenkoPasturTable, Tag("marchenko_pastur")]
    | Annotated[NodesTable, Tag("nodes")]
    | Annotated[EigenvaluesTable, Tag("eigenvalues")]
    | Annotated[SymmetricTable, Tag("symmetric")],
    Discriminator(_spectrum_kind),
]
StartField = Annotated[
    Annotated[Literal["orthonormal", "gaussian"], Tag(WORD)]
    | Annotated[OrthonormalTable, Tag("orthonormal")]
    | Annotated[MarchenkoPasturTable, Tag("marchenko_pastur")]
    | Annotated[NodesTable, Tag("nodes")]
    | Annotated[EigenvaluesTable, Tag("eigenvalues")],
    Discriminator(_start_kind),
]


class ModelTable(Nested):
    """A model of a margin flow; its class says which keys it needs."""

    class_: str = Field(alias="class")
    width: int = 0
    second_layer: str = ""
    signs: Array = None
    directions: Array = None

    def build(self) -> Description:
        given = self.given()
        name = given.pop("class_")
        kind = description_class(name)
        try:
            return kind(**given)
        except TypeError as error:
            raise ValueError(f"model: {name} cannot be made of these keys ({error}).") from None


class EnsembleTable(Nested):
    """A law of units at the start; see `flowlimits.Ensemble`."""

    kind: Literal["gaussian", "uniform_sphere"]
    dimension: int | Literal["infinity"]
    scale: float = 1.0
    second_layer: Any = 1.0

    def build(self) -> Any:
        given = self.given()
        ensemble: Any = description_class("Ensemble")
        return getattr(ensemble, given.pop("kind"))(**given)
