"""What goes wrong with an embedded server, always with what to do about it."""


class EmbeddedError(RuntimeError):
    """An embedded server cannot do what was asked.

    Parameters
    ----------
    problem : str
        What is wrong, as a sentence.
    cure : str
        What the user can do, as a sentence.

    Notes
    -----
    ``str()`` is one line that holds both, so that it survives any log or terminal.
    """

    def __init__(self, problem: str, *, cure: str) -> None:
        self.problem = _one_line(problem)
        self.cure = _one_line(cure)
        super().__init__(self.problem, self.cure)

    def __str__(self) -> str:
        return f"{self.problem} {self.cure}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.problem, self.cure)


def _rebuild(problem: str, cure: str) -> EmbeddedError:
    return EmbeddedError(problem, cure=cure)


def _one_line(text: str) -> str:
    return " | ".join(line.strip() for line in text.splitlines() if line.strip())
