"""How far a batch has come: a line on the terminal, a line every ten seconds elsewhere, and the summary at the end."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from provider_core.types import Verdict
from telex.humanize import dollars, duration, number, plural, short_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from provider_core.batches import Result, Run
    from provider_core.errors import CoreError
    from telex.console import Console

_REDRAW: Final = 0.2
_LINE_EVERY: Final = 10.0
_SPAN: Final = 20.0
"""Seconds that rates are measured over."""
_MOST_ERRORS: Final = 8
"""Kinds of errors that the summary lists."""
_EXAMPLE: Final = 120
"""Characters of a message in the summary."""
_WIDEST: Final = 120


class BatchProgress:
    """Counts results, and shows the counts on stderr while the batch runs. ``fraction`` is the part of the input read.

    ``before`` returns the number of rows that earlier runs have completed.
    """

    def __init__(
        self,
        console: Console,
        *,
        before: Callable[[], int] = lambda: 0,
        fraction: Callable[[], float | None] = lambda: None,
        quiet: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._console = console
        self._before = before
        self._fraction = fraction
        self._quiet = quiet
        self._draws = console.err_can_move and not quiet
        self._started = self._shown_at = clock()
        self._line = ""
        self._stopping = False
        self._samples: deque[tuple[float, int, int]] = deque([(self._started, 0, 0)])
        self._input_tokens = self._output_tokens = 0
        self._errors: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, result: Result) -> None:
        """Count the tokens and the error of a result."""
        for request in result.requests:
            if (usage := request.answer.usage) is not None:
                self._input_tokens += usage.input or 0
                self._output_tokens += usage.output or 0
        if not result.ok:
            kind = _kind(result.error, result.verdict)
            self._errors[kind] += 1
            if result.error is not None:
                self._examples.setdefault(kind, result.error.message)

    def show(self, run: Run) -> None:
        """Draw the line, or print one, if it is time."""
        now = self._clock()
        if run.ended_by == "stop" and not (self._draws or self._stopping or run.activity):
            self._stopping = True
            self._console.note(
                f"Stopping: {plural(run.in_flight, 'request')} in flight. Ctrl-C again: stop now."
            )
        if self._quiet or now - self._shown_at < (_REDRAW if self._draws else _LINE_EVERY):
            return
        self._shown_at = now
        self._samples.append((now, run.done, self._output_tokens))
        while len(self._samples) > 2 and now - self._samples[0][0] > _SPAN:
            self._samples.popleft()
        text = self._text(run, now)
        if not self._draws:
            self._console.err(f"{text}\n")
        elif (text := text[: min(self._console.width() - 1, _WIDEST)]) != self._line:
            self._line = text
            text = self._console.painted(text, "grey") if self._console.err_has_colour else text
            self._console.raw_err(f"\r\x1b[K{text}")

    def note(self, text: str) -> None:
        """Print a note above the line."""
        self.clear()
        self._console.note(text)

    def clear(self) -> None:
        """Remove the line, before something else is printed."""
        if self._line:
            self._console.raw_err("\r\x1b[K")
            self._line = ""

    def _text(self, run: Run, now: float) -> str:
        fraction, total = self._fraction(), self._before() + run.done
        if fraction:  # of the input that was read, which includes rows in flight
            fraction *= total / max(1, total + run.in_flight)
        parts = [f"{number(total)} done" + (f" ({fraction:.0%})" if fraction is not None else "")]
        if run.failed:
            parts.append(f"{number(run.failed)} failed")
        since, done, tokens = self._samples[0]
        seconds = max(now - since, 1e-6)
        if rate := (run.done - done) / seconds:
            parts.append(f"{rate:.1f} rows/s" if rate >= 0.95 else f"{rate * 60:.1f} rows/min")
        if token_rate := (self._output_tokens - tokens) / seconds:
            parts.append(f"{short_number(round(token_rate))} tokens/s")
        if run.spent is not None:
            parts.append(dollars(run.spent))
        if run.activity:
            parts.append(run.activity)
        elif run.ended_by == "stop":
            parts.append(f"stopping: waiting for {run.in_flight}, Ctrl-C again: stop now")
        elif (rest := run.resting) > 1 and not run.in_flight:
            parts.append(f"waiting {duration(rest)}: rate limited or overloaded")
        else:
            if fraction and rate and 0.001 < fraction < 1:
                parts.append(f"{duration(total * (1 / fraction - 1) / rate)} left")
            parts.append(f"{run.in_flight} in flight")
        return " · ".join(parts)

    def summary(self, run: Run, *, skipped: int, show_failed: str) -> None:
        """Print the outcome of the batch, which did not run ``skipped`` rows or more.

        ``show_failed`` is the command that shows the rows that failed.
        """
        self.clear()
        if self._quiet and not run.failed:
            return
        earlier = self._before()
        if not (run.done or earlier or skipped):
            if not run.ended_by:
                self._console.note("The input has no rows.")
            return
        before = f", {number(earlier)} {'was' if earlier == 1 else 'were'} done before" if earlier else ""
        took = duration(self._clock() - self._started)
        self._console.note(f"{plural(run.done - run.failed, 'row')} complete in {took}{before}.")
        if self._output_tokens or self._input_tokens:
            spent = f", {dollars(run.spent)}" if run.spent is not None else ""
            counts = f"{number(self._input_tokens)} tokens in, {number(self._output_tokens)} out"
            self._console.note(f"{counts}{spent}.")
        if run.failed:
            verb = "is" if run.failed == 1 else "are"
            self._console.note(f"{plural(run.failed, 'row')} {verb} not complete:")
            for kind, count in self._errors.most_common(_MOST_ERRORS):
                example = " ".join(self._examples.get(kind, "").split())
                shown = example if len(example) <= _EXAMPLE else f"{example[: _EXAMPLE - 1]}…"
                colon = ": " if count == 1 else ", such as: "
                self._console.note(f"{number(count):>8}  {kind}{shown and colon}{shown}")
            if show_failed:
                self._console.note(f"To show them: {show_failed}")
        if skipped:
            self._console.note("The other rows are not asked because of --limit, --sample or --retry-failed.")


def _kind(error: CoreError | None, verdict: Verdict) -> str:
    """The kind of a failure: its class, the status and the verdict, so that similar rows are counted together."""
    if error is None:
        return f"the answer is {verdict.value}"
    if error.code == "bad_row":
        return "the row cannot be read"
    status = getattr(error, "status", None)
    name = f"{type(error).__name__} ({status})" if status else type(error).__name__
    return name if verdict in (Verdict.FAILED, Verdict.COMPLETE) else f"{name}, the answer is {verdict.value}"
