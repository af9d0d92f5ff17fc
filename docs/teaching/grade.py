"""Check the answers of a student: ``python docs/teaching/grade.py exercises.py``.

The file is run as it is, so grade what you would run. Every question is right, not answered yet, or wrong with a hint; no
solution is printed. The exit code is 0 if all are right.
"""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path
from typing import Any

from questions import QUESTIONS, Question, WrongAnswer

from reds_jax.errors import RedsError


def verdict(question: Question, answers: dict[str, Any]) -> str:
    """ "right", "not answered yet", or a hint."""
    given = [answers.get(name, ...) for name in question.names]
    if any(value is ... for value in given):
        return "not answered yet"
    try:
        question.check(*given)
    except (WrongAnswer, RedsError, TypeError, ValueError, ZeroDivisionError) as hint:  # also of another form
        return f"not yet: {hint}"
    return "right"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check the answers of the exercises.")
    parser.add_argument("file", type=Path, help="exercises.py with your answers")
    answers = runpy.run_path(str(parser.parse_args(arguments).file))
    verdicts = [verdict(question, answers) for question in QUESTIONS]
    for question, said in zip(QUESTIONS, verdicts, strict=True):
        print(f"{question.notebook}, exercise {question.exercise}: {said}")
    print(f"{verdicts.count('right')} of {len(verdicts)} right")
    return 0 if set(verdicts) == {"right"} else 1


if __name__ == "__main__":
    sys.exit(main())
