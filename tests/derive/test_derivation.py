"""Derivations: the article's chains for all thirteen cells, as text, LaTeX and Python that rebuilds them."""

import pickle  # noqa: TID251  derivations travel between processes; no weights here
import sys
from collections.abc import Callable

import pytest

import derive
from derive import Derivation, RuleDoesNotApply, UnknownCell
from derive.derivation import changed_claims, derive_through
from derive.errors import AlreadyHolds

LENGTHS = {
    "vanilla": 0,
    "prototype": 4,
    "gru": 6,
    "normalized-prototype": 5,
    "pseudo-lstm": 5,
    "pseudo-lstm-d1": 7,
    "pseudo-lstm-d2": 6,
    "pseudo-lstm-d3": 6,
    "pseudo-lstm-d12": 8,
    "pseudo-lstm-d13": 8,
    "pseudo-lstm-d23": 7,
    "lstm": 9,
    "peephole-lstm": 10,
}


def test_the_catalogue() -> None:
    assert set(derive.catalogue()) == set(LENGTHS)


@pytest.mark.parametrize("name", LENGTHS)
def test_as_text(name: str, golden: Callable[[str, str], None]) -> None:
    golden(f"derivations/{name}.txt", str(derive.derivation(name)) + "\n")


@pytest.mark.parametrize("name", LENGTHS)
def test_it_arrives_at_the_published_cell(name: str) -> None:
    """Equation for equation; only their order may differ, and what the cell is called."""
    derivation = derive.derivation(name)
    published = derive.cell(name)
    assert dict(derivation.cell.equations) == dict(published.equations)
    assert (derivation.cell.states, derivation.cell.output) == (published.states, published.output)
    assert derivation.start == derive.cell("vanilla")
    assert len(derivation.steps) == LENGTHS[name]
    for before, after in zip(derivation.steps, derivation.steps[1:], strict=False):
        assert before.after == after.before


@pytest.mark.parametrize("name", LENGTHS)
def test_as_python(name: str) -> None:
    """The text runs, with no names but its own imports, and gives the same derivation."""
    derivation = derive.derivation(name)
    namespace: dict[str, object] = {}
    exec(derivation.python(), namespace)
    assert_alike(namespace["derivation"], derivation)


@pytest.mark.parametrize("name", ["gru", "peephole-lstm"])
def test_it_travels(name: str) -> None:
    derivation = derive.derivation(name)
    assert_alike(pickle.loads(pickle.dumps(derivation)), derivation)


def assert_alike(again: object, derivation: Derivation) -> None:
    assert isinstance(again, Derivation)
    assert again.start == derivation.start
    assert again.cell == derivation.cell
    assert [(s.rule, s.options, s.before, s.after) for s in again.steps] == [
        (s.rule, s.options, s.before, s.after) for s in derivation.steps
    ]
    assert str(again) == str(derivation)


def test_python_of_a_cell_that_is_not_published() -> None:
    """A start of one's own is spelt out, also one that goes by a published name."""
    own = derive.cell("vanilla").without_biases()
    derivation = Derivation(own).then("write-incrementally").then("gate-write", gate="g")
    namespace: dict[str, object] = {}
    exec(derivation.python(), namespace)
    assert_alike(namespace["derivation"], derivation)


def test_as_latex() -> None:
    latex = derive.derivation("prototype").latex()
    assert latex.count("\\begin{aligned}") == latex.count("\\end{aligned}") == 5
    assert latex.count("\\[") == latex.count("\\]") == 9
    assert "\\text{gate-forget}" in latex
    assert derive.cell("vanilla").latex() in latex
    assert derive.derivation("prototype").cell.latex() in latex
    assert derive.derivation("prototype")._repr_latex_().count("$$") == 18


def test_the_text_tells_rule_change_cost_and_reason() -> None:
    text = str(derive.derivation("prototype"))
    step = derive.derivation("prototype").steps[1]
    change = "+ iₜ = σ(W_i sₜ₋₁ + U_i xₜ + b_i)"
    for part in ("2. gate-write: ", change, step.rule.reason, "proved: at i = 0"):
        assert part in text


def test_the_text_tells_what_each_rule_bought_and_lost() -> None:
    text = str(derive.derivation("normalized-prototype"))
    bought, lost = text.index("+ morphs-s: "), text.index("− carries-s: at f = 1, i = 0")
    assert text.index("5. normalize-state") < min(bought, lost)
    assert "± bounded-s: |sₜ| ≤ |s₀| + t (before: s stays in [-1, 1])" in text
    coupled = changed_claims(derive.derivation("gru").steps[4])
    assert "± bounded-s: s stays in [-1, 1] (before: |sₜ| ≤ |s₀| + t)" in coupled
    assert any(line.startswith("− grows-s") for line in coupled)


def test_a_change_of_names_changes_no_claim() -> None:
    (renamed,) = (s for s in derive.derivation("lstm").steps if s.rule.name == "rename")
    assert changed_claims(renamed) == []


def test_claims_are_computed_only_when_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_: object) -> list[object]:
        raise AssertionError("prove was asked")

    monkeypatch.setattr(sys.modules["derive.derivation"], "prove", never)
    found = derive.path("prototype", "gru")
    assert found.python()
    with pytest.raises(AssertionError, match="prove was asked"):
        str(found)


def test_one_more_step() -> None:
    derivation = Derivation(derive.cell("vanilla"))
    assert derivation.cell == derive.cell("vanilla")
    longer = derivation.then("write-incrementally").then(derive.RULES["gate-write"], gate="g")
    assert [step.rule.name for step in longer.steps] == ["write-incrementally", "gate-write"]
    assert derivation.steps == ()
    with pytest.raises(AlreadyHolds):
        longer.then("gate-write")
    with pytest.raises(RuleDoesNotApply):
        derivation.then("gate-read")


def test_a_chain_of_rules() -> None:
    rules = [("write-incrementally", {}), ("gate-write", {"gate": "g"})]
    found = derive_through(derive.cell("vanilla"), rules)
    assert found.cell.parameters.keys() >= {"W_g"}


def test_an_unknown_cell() -> None:
    with pytest.raises(UnknownCell, match="did you mean 'gru'"):
        derive.derivation("grue")
