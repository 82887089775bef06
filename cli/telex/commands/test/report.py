"""How the cases of ``telex test`` went: a line for each in order, the counts of each model, and JUnit's XML."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from provider_core.redaction import printable
from provider_core.structs import Struct
from telex.console import OutputError, visible
from telex.humanize import dollars, elapsed, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from telex.commands.test.cases import Case
    from telex.console import Console

_MARKS: Final = {
    "passed": ("✓", "green"),
    "failed": ("✗", "red"),
    "error": ("!", "red"),
    "not run": ("-", "grey"),
}
_ANSWER: Final = 200
"""The most characters of an answer that are shown below its case."""
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML cannot have (www.w3.org/TR/xml/#charsets)."""


class Outcome(Struct):
    """How a case went with one model."""

    case: Case
    model: str
    status: Literal["passed", "failed", "error", "not run"] = "not run"
    reasons: tuple[str, ...] = ()
    """The checks that the answer fails, or why there is none."""
    answer: str = ""
    cost: Decimal | None = None
    seconds: float | None = None
    is_saved: bool = False
    """Whether the answer is that of an earlier run."""


class Reporter:
    """Prints each outcome when it and all before it are known: on a terminal with marks, in a pipe with tabs."""

    def __init__(self, console: Console, outcomes: Sequence[Outcome], *, as_json: bool, quiet: bool) -> None:
        self._console = console
        self._as_json = as_json
        self._quiet = quiet
        self._several = len({outcome.model for outcome in outcomes}) > 1
        self._printed = 0
        self._file = ""
        self._draws = console.err_can_move and not quiet
        self._line = ""

    def tick(self, outcomes: Sequence[Outcome], in_flight: int) -> None:
        """Show how far the run has come, in one line of the terminal that the next output replaces."""
        known = sum(outcome.status != "not run" for outcome in outcomes)
        line = f"{known} of {len(outcomes)} done, {plural(in_flight, 'request')} in flight"
        if self._draws and line != self._line:
            self._clear()
            self._console.err(line[: self._console.width() - 1], dim=True)
            self._line = line

    def _clear(self) -> None:
        if self._line:
            self._console.raw_err("\r\x1b[K")
            self._line = ""

    def show(self, outcomes: Sequence[Outcome], *, is_over: bool = False) -> None:
        """Print the outcomes that are known, up to the first that is not; all of them if the run ``is_over``."""
        for outcome in outcomes[self._printed :]:
            if outcome.status == "not run" and not is_over:
                return
            self._clear()
            self._print(outcome)
            self._printed += 1

    def finish(self, outcomes: Sequence[Outcome], spent: Decimal) -> None:
        """Print the others too, and the counts; ``spent`` is what the run has cost."""
        self._clear()
        self.show(outcomes, is_over=True)
        if self._as_json:
            self._console.json([outcome_object(outcome) for outcome in outcomes])
        if not self._quiet:
            if self._several:
                for model in dict.fromkeys(outcome.model for outcome in outcomes):
                    own = [each for each in outcomes if each.model == model]
                    costs = (each.cost for each in own if each.cost and not each.is_saved)
                    self._console.note(f"{model}: {_summary(own, sum(costs, Decimal(0)))}")
            self._console.note(_summary(outcomes, spent))

    def _print(self, outcome: Outcome) -> None:
        console, case = self._console, outcome.case
        if self._as_json or (self._quiet and outcome.status == "passed"):
            return
        if not console.out_is_terminal:
            cells = (
                outcome.status,
                case.file,
                case.name,
                outcome.model,
                "" if outcome.seconds is None else f"{outcome.seconds:.3f}",
                "" if outcome.cost is None else f"{outcome.cost:f}",
                "; ".join(outcome.reasons),
            )
            console.out("\t".join(" ".join(cell.split()) for cell in cells) + "\n")
            return
        if case.file != self._file:
            self._file = case.file
            console.out(f"{case.file}\n")
        mark, colour = _MARKS[outcome.status]
        mark = console.painted(mark, colour) if console.out_has_colour else mark
        facts = [outcome.model] if self._several else []
        facts += ["saved answer"] if outcome.is_saved else []
        if outcome.seconds is not None and not outcome.is_saved:
            facts.append(elapsed(outcome.seconds))
        if outcome.cost:
            facts.append(dollars(outcome.cost))
        tail = f"  {' · '.join(facts)}" if facts else ""
        tail = console.painted(tail, "grey") if console.out_has_colour else tail
        console.raw_out(f"  {mark} {visible(' '.join(case.name.split()))}{tail}\n")
        for reason in outcome.reasons:
            console.out(f"      {reason}\n")
        if outcome.status == "failed" and outcome.answer:
            console.out(f"      The answer: {printable(' '.join(outcome.answer.split()), _ANSWER)}\n")


def _summary(outcomes: Sequence[Outcome], spent: Decimal) -> str:
    """The counts, and what was ``spent`` on them."""
    counts = []
    for status in _MARKS:
        count = sum(outcome.status == status for outcome in outcomes)
        if count or status == "passed":
            counts.append(f"{count} {'errors' if status == 'error' and count > 1 else status}")
    saved = sum(outcome.is_saved for outcome in outcomes)
    facts = [plural(saved, "saved answer")] if saved else []
    facts += [dollars(spent)] if spent else []
    more = f" ({', '.join(facts)})" if facts else ""
    return f"{', '.join(counts)}{more}."


def outcome_object(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON; the keys are a contract."""
    return {
        "status": outcome.status.replace(" ", "_"),
        "file": outcome.case.file,
        "name": outcome.case.name,
        "model": outcome.model,
        "template": outcome.case.template,
        "reasons": list(outcome.reasons),
        "answer": outcome.answer,
        "seconds": outcome.seconds,
        "cost": None if outcome.cost is None else float(outcome.cost),
        "saved": outcome.is_saved,
    }


def write_junit(name: str, outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes as JUnit's XML: a suite for each file and model. Raises ``OutputError``."""
    from xml.etree import ElementTree as Xml

    root = Xml.Element("testsuites", {"name": "telex test", **_counts(outcomes)})
    suites: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        suites.setdefault((outcome.case.file, outcome.model), []).append(outcome)
    for (file, model), found in suites.items():
        name_of_suite = _xml(f"{file} ({model})")
        suite = Xml.SubElement(root, "testsuite", {"name": name_of_suite, **_counts(found)})
        for outcome in found:
            fields = {"name": _xml(outcome.case.name), "classname": name_of_suite}
            case = Xml.SubElement(suite, "testcase", {**fields, "time": f"{outcome.seconds or 0:.3f}"})
            message = _xml("; ".join(outcome.reasons))
            match outcome.status:
                case "failed":
                    failure = Xml.SubElement(case, "failure", message=message)
                    failure.text = _xml("\n".join((*outcome.reasons, "", outcome.answer)))
                case "error":
                    Xml.SubElement(case, "error", message=message)
                case "not run":
                    Xml.SubElement(case, "skipped")
    Xml.indent(root)
    try:
        Path(name).write_bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")
    except OSError as error:
        raise OutputError(f"{name}: {error.strerror}") from None


def _counts(outcomes: Sequence[Outcome]) -> dict[str, str]:
    statuses = [outcome.status for outcome in outcomes]
    return {
        "tests": str(len(outcomes)),
        "failures": str(statuses.count("failed")),
        "errors": str(statuses.count("error")),
        "skipped": str(statuses.count("not run")),
        "time": f"{sum(outcome.seconds or 0 for outcome in outcomes):.3f}",
    }


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
