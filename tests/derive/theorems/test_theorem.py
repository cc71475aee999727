"""The folder of theorems."""

import pytest

from derive.theorems import THEOREMS, Attack, Comparison, UnknownTheorem, theorem


def test_all_theorems_are_found_in_order():
    assert list(THEOREMS) == [f"A{k}" for k in range(1, 8)] + [f"B{k}" for k in range(1, 9)]
    assert all(THEOREMS[name].name == name for name in THEOREMS)


def test_names_in_lower_case_will_do():
    assert theorem("b5") is theorem("B5")


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(UnknownTheorem, match=r"unknown theorem 'B55'; did you mean 'B5'"):
        theorem("B55")
    with pytest.raises(KeyError):
        THEOREMS["C1"]


def test_every_theorem_says_what_it_is():
    for one in THEOREMS.values():
        assert all((one.title, one.statement, one.latex, one.source, one.cells))
        assert str(one).startswith(f"{one.name}: {one.title}")
        assert one._repr_latex_().startswith("$")


def test_numbers_read_as_sentences():
    assert str(Comparison(60, 15, 20, 30, 0, 1.5)) == (
        "of 60 weight sets the published condition certifies 15, the engine's 20 in closed form and 30 unit "
        "by unit; 0 of the published ones are lost; 1.5 s"
    )
    assert str(Attack(6, 0, 0.5, 1)) == "0 of 6 certified sets broken, worst ratio 0.5000; 1.0 s"
