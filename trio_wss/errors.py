"""Every error of the package. Who is at fault is in the type: the client (`Invalid`),
the app (`RegistrationError`, `PlanError`), the operator (`SettingsError`), Redis (`Unavailable`,
`EmbeddedEnded`); `Refused` is nobody's fault: it is a handler's answer."""

from __future__ import annotations

import re

_CODE = re.compile(r"[a-z0-9_]{1,64}")


class WssError(Exception):
    """The base of every error of this package."""


class Refused(WssError):
    """Raised by a handler or by `authenticate`: the answer is no, and nothing is applied.

    `code` (`[a-z0-9_]{1,64}`) is for the client's program, `message` for its user. Raises
    `ValueError` for another code, and for `unavailable`, which tells a client to send again.
    """

    def __init__(self, code: str, message: str = "") -> None:
        if _CODE.fullmatch(code) is None:
            raise ValueError(f"a Refused code is 1..64 of a-z, 0-9 and _, not {code!r:.80}")
        if code == "unavailable":
            raise ValueError("the code 'unavailable' is the server's own: the outcome is not known")
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class Invalid(WssError):
    """What a client sent is wrong. `path` says where, as in `data.items[2].n`."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return self.message


class RegistrationError(WssError):
    """A handler, template or annotation that can never work: it stops the start."""


class PlanError(WssError):
    """The app's fault while an event is handled: effects that may not stand together, a value
    that is no JSON, a stored value of another shape. The client is told `internal`."""


class SettingsError(WssError):
    """A setting is wrong: one sentence that names it and the cure. Exit code 2."""


class WrongSetting(SettingsError):
    """One setting has a wrong value. `setting` is its name in `Settings`; `complaint` is the rest
    of the sentence, for whoever calls it something else: the command line does."""

    def __init__(self, setting: str, complaint: str) -> None:
        super().__init__(setting, complaint)
        self.setting = setting
        self.complaint = complaint

    def __str__(self) -> str:
        return f"{self.setting} {self.complaint}"


class Unavailable(WssError):
    """Redis did not answer. Whether the commit was applied is not known."""


class EmbeddedEnded(WssError):
    """The embedded Redis has ended by itself: one sentence that says how. Exit code 1."""


def shown(value: object) -> str:
    """A value in the words of an error: at most 80 characters, and never an error itself."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = f"a {type(value).__name__} of too many digits"
    return text if len(text) <= 80 else text[:77] + "..."
