"""The main job, end to end, on the embedded corpus: derive, show, emit, check, train, report."""

from __future__ import annotations

from pathlib import Path

import torch
from rich.console import Console

import derive
from codegen.checking import check
from codegen.emission import emit
from codegen.experiment import prepare
from codegen.files import write_atomic
from codegen.report import Trained, report_html
from codegen.training import Corpus, RichProgress, embedded_corpus

CELLS = ("pseudo-lstm", "lstm")
SIZE = 128
INTRODUCTION = (
    "Two cells, derived from the vanilla RNN by named rules, emitted as PyTorch, checked, and trained on the "
    "prose of the Python language reference. The corpus is small: this shows that everything runs, not which "
    "cell is better."
)


def run_demo(output: Path, epochs: int, console: Console) -> Path:
    """Run the demonstration; the path of the report.

    Everything goes into ``output``: ``CELL.py``, ``CELL.svg``, ``runs/CELL`` and ``report.html``.
    """
    torch.set_num_threads(1)
    output.mkdir(parents=True, exist_ok=True)
    corpus = embedded_corpus()
    console.print(f"corpus: {len(corpus.train):,} training tokens, {len(corpus.vocabulary):,} types\n")
    trained = [_one(name, output, corpus, epochs, console) for name in CELLS]
    page = output / "report.html"
    write_atomic(
        page, report_html("Cellwright: from the vanilla RNN to the LSTM", INTRODUCTION, trained).encode()
    )
    console.print(_farewell(output, page), markup=False)
    return page


def _one(name: str, output: Path, corpus: Corpus, epochs: int, console: Console) -> Trained:
    derivation = derive.derivation(name)
    cell = derive.cell(name)
    steps = " → ".join(["vanilla", *(step.rule.name for step in derivation.steps)])
    console.rule(cell.title)
    console.print(f"derived: {steps}\n\n{cell}\n", markup=False)
    source = emit(cell)
    write_atomic(output / f"{name}.py", source.encode())
    write_atomic(output / f"{name}.svg", derive.diagram(cell).encode())
    console.print(f"wrote {output / name}.py ({len(source.splitlines())} lines) and .svg", markup=False)
    report = check(cell)
    console.print(str(report).splitlines()[0], markup=False)
    sizes = {"batch_size": 20, "bptt": 20, "hidden_size": SIZE, "embedding_size": SIZE}
    experiment = prepare(cell, {**sizes, "learning_rate": 3e-3, "epochs": epochs}, data=corpus)
    with RichProgress(console) as progress:
        result = experiment.train(
            output / "runs" / name,
            on_step=progress.on_step,
            on_epoch=progress.on_epoch,
            resume=False,
        )
    console.print()
    return Trained(cell, derivation, report, source, result.history)


def _farewell(output: Path, page: Path) -> str:
    return f"""report: {page}

What to do next:
  open {page} in a browser
  cellwright list                                  the catalogue
  cellwright derive peephole-lstm                  a derivation, step by step
  cellwright emit gru -o gru.py                    one file of PyTorch, yours to paste
  cellwright train pseudo-lstm --data DIR          the article's experiment on Penn Treebank text
  the README declares a cell of your own in a dozen lines; `cellwright check FILE.py` checks it
emitted code: {output / CELLS[0]}.py
"""
