"""What all kinds share: they are found, their claims are plain data, and the certificates are checked in."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import derive
from derive import Cell, Claim
from derive.claims import BadCertificate, kinds, recheck_certificate
from derive.claims.tools.plain import NotPlain, cell_from_plain, cell_to_plain, from_plain, to_plain
from tests.strategies import cells, gated_cells

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "certificates"


def test_every_file_of_the_folder_is_a_kind() -> None:
    import derive.claims

    files = {path.stem for path in Path(derive.claims.__file__).parent.glob("*.py")} - {"__init__"}
    assert len(files) <= len(kinds())
    for kind in kinds().values():
        assert kind.title
        assert kind.prove.__module__.split(".")[-1] in files


def rounded(claim: Claim) -> dict[str, Any]:
    document = claim.to_json()
    del document["cell"]  # the same for all of a file
    document.pop("attempts", None)  # times differ from run to run
    return document


@pytest.mark.parametrize("name", derive.catalogue())
def test_certificates_are_checked_in(name: str, golden: Callable[[str, str], None]) -> None:
    """One claim a line."""
    claims = [rounded(claim) for claim in derive.prove(name)]
    lines = ",\n".join(json.dumps(claim, ensure_ascii=False) for claim in claims)
    cell = json.dumps(cell_to_plain(derive.cell(name)), ensure_ascii=False)
    golden(f"certificates/{name}.json", f'{{"cell": {cell},\n"claims": [\n{lines}\n]}}\n')


@pytest.mark.parametrize("name", derive.catalogue())
def test_certificates_stand_from_their_plain_data_alone(name: str) -> None:
    document = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert cell_from_plain(document["cell"]) == derive.cell(name)
    assert document["claims"]
    for claim in document["claims"]:
        assert claim["status"] in ("proved", "refuted")
        assert recheck_certificate({**claim, "cell": document["cell"]}), claim["name"]


@pytest.mark.parametrize("name", derive.catalogue())
def test_a_proof_does_not_pass_for_a_refutation(name: str) -> None:
    for claim in derive.prove(name):
        document = claim.to_json()
        turned = {**document, "status": "refuted" if claim.status == "proved" else "proved"}
        assert not recheck_certificate(turned)
        assert not recheck_certificate({**document, "status": "unknown"})
        assert not recheck_certificate({**document, "statement": "something else"})
        assert not recheck_certificate({**document, "name": "something-else"})
        assert not recheck_certificate({key: document[key] for key in ("kind", "status", "cell")})


def test_an_unknown_kind_is_an_error() -> None:
    claim = derive.prove("gru")[0].to_json()
    with pytest.raises(BadCertificate, match="did you mean 'carries'"):
        recheck_certificate({**claim, "kind": "carry"})


def test_a_claim_without_certificate_is_not_rechecked() -> None:
    assert not Claim("any", "any", "unknown", "none").recheck()
    claim = derive.prove("gru")[0]
    assert claim.recheck()
    assert not dataclasses.replace(claim, verify=None).recheck()
    assert str(claim).startswith("proved: at z = 1")


@given(st.one_of(cells(), gated_cells()))
def test_cells_travel_as_plain_data(cell: Cell) -> None:
    data = json.loads(json.dumps(cell_to_plain(cell)))
    assert cell_from_plain(data) == cell


@pytest.mark.parametrize(
    "data", [5, [], ["*"], ["num", "x"], ["num", "1/0"], "nothing", ["swish", "x"], [1, "x"]]
)
def test_what_is_no_expression(data: Any) -> None:
    names = {"x": derive.Input("x")}
    if data == ["*"]:
        assert from_plain(data, names) == 1
        return
    with pytest.raises((NotPlain, derive.DeriveError)):
        from_plain(data, names)


def test_what_has_no_plain_form() -> None:
    import sympy

    with pytest.raises(NotPlain, match="no expression"):
        to_plain(sympy.sin(sympy.Symbol("x")))


@settings(max_examples=15)  # all kinds and both methods for each
@given(st.one_of(cells(), gated_cells()))
def test_claims_of_random_cells_are_plain_data(cell: Cell) -> None:
    """And every one that is decided stands from it."""
    for claim in derive.prove(cell):
        document = json.loads(json.dumps(claim.to_json()))
        assert claim.latex or claim.status == "unknown"
        assert recheck_certificate(document) == (claim.status != "unknown")
        assert claim.status != "unknown" or claim.method
